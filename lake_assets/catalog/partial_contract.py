"""A contract or a metric during parsing: its valid parts, and the problems so far."""

from collections.abc import Callable
from typing import Any, cast

from lake_assets.catalog.problems import Problem, TreePath
from lake_assets.catalog.schema_builders import JsonSchema
from lake_assets.catalog.source import Source
from lake_assets.catalog.structure import structure_problems


class Draft:
    """Return only parts that have the right shape, so that one mistake does not hide or cause others."""

    def __init__(self, source: Source, profile: Callable[[], JsonSchema]) -> None:
        self._source = source
        found = structure_problems(source, profile)
        self.problems: list[Problem] = [problem for problems in found.values() for problem in problems]
        self._unsound: set[TreePath] = {path[:end] for path in found for end in range(len(path) + 1)}

    def report(self, path: TreePath, message: str) -> None:
        """Report a problem at a path, which need not exist (a missing key)."""
        self.problems.append(self._source.problem(path, message))

    def value(self, *path: str | int) -> Any:
        """Return the part of the contract at a path; None when it is missing or has a problem in it."""
        return None if path in self._unsound else self.raw(*path)

    def word(self, *path: str | int) -> str | None:
        """Return the text at a path, even if its parent is invalid: a name that other parts can refer to."""
        node = self.raw(*path)
        return node if isinstance(node, str) else None

    def raw(self, *path: str | int) -> Any:
        """Return the part at a path whatever its shape; None when it is missing."""
        node: Any = self._source.tree
        for part in path:
            if isinstance(node, dict):
                node = cast("dict[str, Any]", node).get(str(part))
            elif isinstance(node, list) and isinstance(part, int) and part < len(cast("list[Any]", node)):
                node = cast("list[Any]", node)[part]
            else:
                return None
        return node

    def places(self, *path: str | int) -> list[TreePath]:
        """Return the paths of a list's items; none when it is not a list."""
        node = self.raw(*path)
        return [(*path, at) for at in range(len(cast("list[Any]", node)))] if isinstance(node, list) else []
