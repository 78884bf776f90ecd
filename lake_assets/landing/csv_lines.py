"""CSV to JSON lines: each row is an object of strings by the header's names, each broken row stays as it is.

No row is lost and no byte is changed: a byte that is not UTF-8 stays in its place in the JSON string. A row that is
not CSV, such as one with a quote that never closes, is returned as its physical line, for conform to judge.
"""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import dropwhile, islice
from json.encoder import encode_basestring

from lake_assets.catalog.csv_dialect import CsvDialect, read_dialect

EXTRA_CELLS = "_extra_cells"
_HEAD_LINES = 200
# A quoted cell of more lines counts as a quote that was never closed.
_MOST_LINES_OF_A_ROW = 1000


def json_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield JSON lines from the physical lines of a CSV, the first of which is the header. Raises SampleError.

    An empty cell is null, or left out when its column has no name; a short row's missing cells are left out; a long
    row's further cells are a list under `_extra_cells`. Blank rows, and lines above the header, are skipped.
    """
    texts = (line.decode("utf-8", "surrogateescape") for line in lines)
    source = _Lines(dropwhile(str.isspace, texts))
    head = list(islice(source, _HEAD_LINES))
    if not head:
        return
    dialect = read_dialect("".join(head))
    source.push_back(head[dialect.above :])
    rows = _rows(source, dialect)
    next(rows)
    width = len(dialect.header)
    named = [
        (encode_basestring(name or f"column_{number}") + ": ", bool(name))
        for number, name in enumerate(dialect.header, start=1)
    ]
    for row in rows:
        if isinstance(row, str):
            yield row.rstrip("\r\n").encode("utf-8", "surrogateescape")
            continue
        if not any(map(str.strip, row)):
            continue
        members = [
            key + (encode_basestring(cell) if cell else "null")
            for (key, has_name), cell in zip(named, row, strict=False)
            if cell or has_name
        ]
        if len(row) > width:
            members.append(f'"{EXTRA_CELLS}": [{", ".join(map(encode_basestring, row[width:]))}]')
        yield ("{" + ", ".join(members) + "}").encode("utf-8", "surrogateescape")


class _Lines(Iterator[str]):
    """An iterator that takes lines back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self._returned: deque[str] = deque()

    def __next__(self) -> str:
        return self._returned.popleft() if self._returned else next(self._lines)

    def push_back(self, lines: list[str]) -> None:
        self._returned.extendleft(reversed(lines))


def _rows(source: _Lines, dialect: CsvDialect) -> Iterator[list[str] | str]:
    """Yield rows as cells, or as their text if they are not CSV. A row ends with its line unless a quote is open."""
    for line in source:
        if '"' not in line:
            row = line.rstrip("\r\n").split(dialect.delimiter)
            yield [cell.lstrip(" ") for cell in row] if dialect.spaced else row
            continue
        row_lines = [line]
        row = _parse(line, dialect)
        while row is None and len(row_lines) < _MOST_LINES_OF_A_ROW and (further := next(source, None)) is not None:
            row_lines.append(further)
            if '"' in further:
                row = _parse("".join(row_lines), dialect)
        if row is None:
            source.push_back(row_lines[1:])
        yield line if row is None else row


def _parse(text: str, dialect: CsvDialect) -> list[str] | None:
    """Return the cells of one complete row, None when the text is not one."""
    try:
        return next(csv.reader([text], delimiter=dialect.delimiter, strict=True, skipinitialspace=dialect.spaced), None)
    except csv.Error:
        return None
