"""Arrangement of a board's charts in rows, the same on every page that shows the board."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from lake_assets.catalog.board import Kind

_IN_A_ROW: dict[Kind, int] = {"number": 4, "table": 1, "bar": 2, "line": 2}


def row_sizes(kinds: Sequence[Kind]) -> Iterator[int]:
    """Yield the number of charts in each row: numbers in rows of four, tables in full width, others in pairs."""
    for most, group in groupby(kinds, lambda kind: _IN_A_ROW[kind]):
        count = len(list(group))
        yield from (min(most, count - start) for start in range(0, count, most))
