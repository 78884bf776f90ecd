"""Parse contract text into a plain tree with line numbers. YAML 1.2's core types, without YAML's surprises."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePath
from typing import TypeAlias, cast

import yaml

from lake_assets.catalog.problems import ContractError, Problem, TreePath, path_text

Tree: TypeAlias = "bool | int | Decimal | str | list[Tree] | dict[str, Tree] | None"

# The events of either loader are the same; the C one is twenty times faster.
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_MAX_CHARACTERS = 1_000_000
_MAX_DEPTH = 20
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?[0-9]{1,40}")
_DECIMAL = re.compile(r"[-+]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][-+]?[0-9]{1,2})?")


@dataclass(frozen=True, slots=True)
class Source:
    """One contract as read. `lines` has the line (from 1) of each path in `tree`."""

    file: PurePath
    tree: Tree
    lines: dict[TreePath, int]

    def line(self, path: TreePath) -> int:
        """Return the line of a path, or of its nearest parent when it does not exist (a missing key)."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def problem(self, path: TreePath, message: str) -> Problem:
        return Problem(self.file, self.line(path), path_text(path), message)


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been read yet."""

    path: TreePath
    value: "list[Tree] | dict[str, Tree]"
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    file: PurePath
    root: Tree = None
    documents: int = 0
    stack: list[_Open] = field(default_factory=lambda: [])
    lines: dict[TreePath, int] = field(default_factory=lambda: {(): 1})

    def refuse(self, line: int, path: TreePath, message: str) -> ContractError:
        return ContractError([Problem(self.file, line, path_text(path), message)])

    def path_of_next(self) -> TreePath:
        if not self.stack:
            return ()
        top = self.stack[-1]
        return (*top.path, len(top.value) if isinstance(top.value, list) else str(top.key))

    def expects_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None

    def put(self, value: Tree, line: int) -> None:
        path = self.path_of_next()
        self.lines.setdefault(path, line)
        if not self.stack:
            self.root = value
            return
        top = self.stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        else:
            top.value[str(top.key)] = value
            top.key = None

    def take_key(self, key: str, line: int) -> None:
        top = self.stack[-1]
        assert isinstance(top.value, dict)
        path = (*top.path, key)
        if key in top.value:
            raise self.refuse(line, path, f"'{key}' is given twice (first on line {self.lines[path]}); remove one.")
        top.key = key
        self.lines[path] = line

    def open(self, value: "list[Tree] | dict[str, Tree]", line: int) -> None:
        path = self.path_of_next()
        if self.expects_key():
            raise self.refuse(line, self.stack[-1].path, "a key must be one word, not a list or a mapping.")
        if len(self.stack) >= _MAX_DEPTH:
            raise self.refuse(
                line, path[:4], f"nested more than {_MAX_DEPTH} levels deep; a contract is never that deep."
            )
        self.put(value, line)
        self.stack.append(_Open(path, value))


def read_source(text: str, file: PurePath) -> Source:
    """Read the tree of one YAML document: strings, integers, decimals, booleans, null, lists and mappings.

    Dates stay texts. Anchors, aliases, tags, duplicate keys and a second document are refused. Raises ContractError.
    """
    builder = _Builder(file)
    if len(text) > _MAX_CHARACTERS:
        raise builder.refuse(1, (), f"longer than {_MAX_CHARACTERS} characters; is this file a contract?")
    try:
        for event in cast("Iterator[yaml.Event]", yaml.parse(text, Loader=_LOADER)):  # pyright: ignore[reportUnknownMemberType]
            _take(builder, event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        hint = " A text that holds ': ', ', ', '{' or '#' needs quotes." if mark else ""
        raise builder.refuse(line, (), f"not valid YAML: {error.problem or error.context}.{hint}") from None
    except (yaml.YAMLError, UnicodeError):
        raise builder.refuse(1, (), "not valid YAML: it contains a character that cannot be printed.") from None
    if builder.root is None:
        raise builder.refuse(1, (), "the contract is empty; `lake new NAME --from FILE` writes one.")
    return Source(file, builder.root, builder.lines)


def _take(builder: _Builder, event: yaml.Event) -> None:
    line = event.start_mark.line + 1
    if isinstance(event, yaml.DocumentStartEvent):
        builder.documents += 1
        if builder.documents > 1:
            raise builder.refuse(line, (), "a second document begins here; one file holds one contract.")
    elif isinstance(event, yaml.AliasEvent):
        raise builder.refuse(line, builder.path_of_next(), "an alias (*) is not allowed; write the value out.")
    elif isinstance(event, yaml.ScalarEvent):
        _refuse_decoration(builder, event, line)
        if builder.expects_key():
            builder.take_key(event.value, line)
        else:
            builder.put(_scalar(event.value) if event.implicit[0] else event.value, line)
    elif isinstance(event, yaml.SequenceStartEvent):
        _refuse_decoration(builder, event, line)
        builder.open([], line)
    elif isinstance(event, yaml.MappingStartEvent):
        _refuse_decoration(builder, event, line)
        builder.open({}, line)
    elif isinstance(event, yaml.CollectionEndEvent):
        builder.stack.pop()


def _refuse_decoration(builder: _Builder, event: yaml.NodeEvent, line: int) -> None:
    if event.anchor is not None:
        raise builder.refuse(line, builder.path_of_next(), "an anchor (&) is not allowed; write the value out.")
    tag = getattr(event, "tag", None)
    if tag is not None:
        raise builder.refuse(line, builder.path_of_next(), f"a tag ({tag}) is not allowed; remove it.")


def _scalar(text: str) -> Tree:
    """Read a plain (unquoted) scalar by YAML 1.2's core schema, so that `no` and `2026-01-01` stay texts."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return Decimal(text)
    return text
