"""A contract or a metric while it is being read: its sound parts, and the problems found so far."""

from collections.abc import Callable
from typing import Any, cast

from lake_assets.catalog.problems import Problem, TreePath
from lake_assets.catalog.schema_builders import JsonSchema
from lake_assets.catalog.source import Source
from lake_assets.catalog.structure import structure_problems


class Draft:
    """Gives out only parts that have the right shape, so that one mistake does not hide or cause others."""

    def __init__(self, source: Source, profile: Callable[[], JsonSchema]) -> None:
        self._source = source
        found = structure_problems(source, profile)
        self.problems: list[Problem] = [problem for problems in found.values() for problem in problems]
        self._unsound: set[TreePath] = {path[:end] for path in found for end in range(len(path) + 1)}

    def report(self, path: TreePath, message: str) -> None:
        """Notes a problem at a place; the place itself need not exist (a missing key)."""
        self.problems.append(self._source.problem(path, message))

    def value(self, *path: str | int) -> Any:
        """The part of the contract at a place; None when it is absent or has a problem in it."""
        return None if path in self._unsound else self.raw(*path)

    def word(self, *path: str | int) -> str | None:
        """The text at a place, whatever is wrong around it: a name that other places may refer to."""
        node = self.raw(*path)
        return node if isinstance(node, str) else None

    def raw(self, *path: str | int) -> Any:
        """The part at a place whatever its shape; None when there is none."""
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
        """The places of a list's items; none when it is not a list."""
        node = self.raw(*path)
        return [(*path, at) for at in range(len(cast("list[Any]", node)))] if isinstance(node, list) else []
