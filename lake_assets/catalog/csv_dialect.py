"""Dialect of a CSV: its delimiter and its header. Shared by all readers of a file, so that they agree."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from lake_assets.errors import LakeError

_DELIMITERS = (",", ";", "\t", "|")
_SNIFFED_ROWS = 200
# Values that occur in data and hardly ever in a header.
_DATA = re.compile(
    r"[-+]?\d+([.,]\d+)*|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}([T ].*)?|[^@\s]+@[^@\s]+\.\w+|(?i:true|false|null)"
)
_DATE = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}")
_YEAR = re.compile(r"(?:1[89]|20)\d\d")
_WHOLE = re.compile(r"[-+]?\d+")
_FEWEST_DATES = 3
_NEARLY_ALL = 0.8


class SampleError(LakeError):
    """Raised when a file cannot be read as a sample or be produced; the message has the cause and what to do."""


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """Dialect of a CSV. `header` has the names as in the file: they are the JSON keys of the payload.

    `spaced` is True if each delimiter is followed by a blank that belongs to no cell. `above` is the number of lines
    above the header, such as a title.
    """

    delimiter: str
    header: tuple[str, ...]
    spaced: bool = False
    above: int = 0


def read_dialect(head: str) -> CsvDialect:
    """Detect the dialect of a CSV from its first rows (text without a byte order mark, whole lines).

    Quotes are double quotes, doubled within. Of two columns of one name the second is numbered: `name_2`.
    Raises SampleError when there is no header.
    """
    delimiter = max(_DELIMITERS, key=lambda candidate: _fit(head, candidate))
    first: list[str] = next(csv_rows(head, delimiter), list[str]())
    header = _numbered([name.strip() for name in first])
    if not any(header):
        raise SampleError("the sample has no header: its first line must name the columns.")
    if above := _lines_above(head, len(header)):
        return replace(read_dialect(without_lines(head, above)), above=above)
    values = [name for name in header if _DATA.fullmatch(name)]
    if values and not _names_periods(header, values, head, delimiter):
        raise SampleError(
            f"the first line looks like data ('{values[0][:40]}'), not like a header: "
            "add a first line that names the columns."
        )
    if _has_labels(head, delimiter, len(header)):
        header = ("", *header)
    return CsvDialect(delimiter, header, _is_spaced(head, delimiter))


def without_lines(text: str, count: int) -> str:
    """Return the text without its first lines."""
    return text.split("\n", count)[-1] if count else text


def _lines_above(head: str, width: int) -> int:
    """Return the number of lines before the table, when the first line is a title.

    A title has one cell, while nearly all other lines have an equal number of cells.
    """
    if width != 1:
        return 0
    lines = head.split("\n")[:_SNIFFED_ROWS]
    for delimiter in _DELIMITERS:
        widths = [line.count(delimiter) + 1 for line in lines]
        ((common, times),) = Counter(widths).most_common(1)
        filled = sum(bool(line.strip()) for line in lines)
        if common > 1 and times > 1 and times >= (filled - 2) * _NEARLY_ALL:
            return widths.index(common)
    return 0


def _names_periods(header: Sequence[str], values: Sequence[str], head: str, delimiter: str) -> bool:
    """Return True if the values in the header are days or years, the columns of a wide table, or one year."""
    rows = list(islice(csv_rows(head, delimiter), 1, _SNIFFED_ROWS))
    if len(values) == 1 < len(header) and _YEAR.fullmatch(values[0]):
        column = header.index(values[0])
        cells = [row[column].strip() for row in rows if len(row) > column]
        # A whole number below would make the year one of its kind, and the first line a row that is lost.
        return any(cells) and not any(_WHOLE.fullmatch(cell) for cell in cells)
    if len(values) < _FEWEST_DATES or len(set(values)) < len(values) or len(values) == len(header):
        return False
    if all(map(_YEAR.fullmatch, values)):
        return list(values) in (sorted(values), sorted(values, reverse=True))
    return all(map(_DATE.fullmatch, values)) and not any(_DATE.fullmatch(cell) for row in rows for cell in row)


def _numbered(names: list[str]) -> tuple[str, ...]:
    """Return the names, with a number appended to each that occurred before."""
    used, header = set(names), list[str]()
    for name in names:
        number, free = 1, name
        while name and free in header:
            number += 1
            free = name if (numbered := f"{name}_{number}") in used else numbered
        used.add(free)
        header.append(free)
    return tuple(header)


def csv_rows(text: str, delimiter: str, spaced: bool = False) -> Iterator[list[str]]:
    """Iterate over the rows of a CSV as lists of texts."""
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=spaced)


def _has_labels(head: str, delimiter: str, width: int) -> bool:
    """Return True if each row begins with its number, for which the header has no name, as in tables written by R."""
    try:
        rows = list(islice(filter(None, csv_rows(head, delimiter)), 1, _SNIFFED_ROWS))
    except csv.Error:
        return False
    return len(rows) > 1 and all(
        len(row) == width + 1 and row[0].strip() == str(number) for number, row in enumerate(rows, start=1)
    )


def _is_spaced(head: str, delimiter: str) -> bool:
    """Return True if in the first rows below the header every cell but the first begins with a blank."""
    spaced = False
    try:
        for row in islice(csv_rows(head, delimiter), 1, _SNIFFED_ROWS):
            for cell in filter(None, row[1:]):
                if not cell.startswith(" "):
                    return False
                spaced = spaced or bool(cell.strip())
    except csv.Error:
        return False
    return spaced


def _fit(head: str, delimiter: str) -> tuple[float, int]:
    """Score a delimiter: the share of rows with as many cells as the header, then the number of cells."""
    widths: list[int] = []
    try:
        for row in csv_rows(head, delimiter):
            if row:
                widths.append(len(row))
            if len(widths) == _SNIFFED_ROWS:
                break
    except csv.Error:
        return (0.0, 0)
    if not widths or widths[0] == 1:
        return (0.0, 0)
    return (widths.count(widths[0]) / len(widths), widths[0])
