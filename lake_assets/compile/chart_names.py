"""Names of a chart's columns as people read them in a BI tool, and the units that are currencies."""

from collections.abc import Iterator
from functools import cache

from babel import Locale

from lake_assets.catalog.board import Chart


def column_names(chart: Chart) -> list[str]:
    """Return the names of a query's columns, in words: x, color, then the numbers. Each is there once."""
    names: list[str] = []
    for name in (chart.x, chart.color, *(value.name for value in chart.y)):
        if name is not None:
            words = name.replace("_", " ")
            names.append(next(each for each in _numbered(words) if each not in names))
    return names


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name} {number}" for number in range(2, 1000))


@cache
def currencies() -> frozenset[str]:
    """Return the codes of currencies, such as EUR."""
    return frozenset(Locale("en").currencies)
