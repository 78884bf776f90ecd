"""A CSV or JSONL sample as columns of cells, as `lake produce` sends it and conform validates it."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, cast

from lake_assets.catalog.csv_dialect import SampleError, csv_rows, read_dialect, without_lines
from lake_assets.catalog.encodings import guess_encoding

Kind = Literal["cell", "text", "number", "boolean", "json"]
_DEEPEST, _MOST_NESTED = 4, 200
_HEAD = 256 * 1024


class Cell(NamedTuple):
    """One value as text, with its JSON type; a value of a CSV has no type and is a plain cell."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Sample of a file. `rows` have a cell per column, None if it is empty (CSV) or missing or null (JSONL).

    `unreadable` counts lines that are not rows, `broken` those with bytes that are not UTF-8, `long` those with more
    cells than the header (both are read nevertheless), `above` those above the header, which are skipped. `encoding` is
    that of the lines that are not UTF-8, if it was detected. `nested` has the plain values within nested objects, by
    their path of keys.
    """

    form: Literal["csv", "jsonl"]
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell | None, ...], ...]
    unreadable: int = 0
    broken: int = 0
    long: int = 0
    above: int = 0
    encoding: str | None = None
    nested: Mapping[tuple[str, ...], tuple[Cell | None, ...]] = field(default_factory=dict[tuple[str, ...], Any])


class _Number(str):
    """A JSON number in its original form, so that 12.50 keeps its zero."""


def read_sample(data: bytes, form: Literal["csv", "jsonl"] | None = None) -> Sample:
    """Read the rows of a CSV (with a header) or JSONL file. Raises SampleError with what to do.

    A single invalid line is counted, not fatal: conform will quarantine it as an event.
    """
    if b"\x00" in data:
        raise SampleError("the sample is not a text file: give a CSV or JSONL file.")
    data, encoding = _as_utf8(data)
    text = data.decode("utf-8-sig", errors="replace")
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise SampleError("the sample is empty: give a file with a few rows.")
    broken = sum("\ufffd" in line for line in lines)
    if broken > max(1, len(lines) * 0.2):
        raise SampleError(
            f"{broken} of {len(lines)} lines are not UTF-8: convert the file first, "
            "for example with iconv -f WINDOWS-1252 -t UTF-8 (or -f UTF-16)."
        )
    # The first line may be the invalid one.
    braces = sum(line.lstrip().startswith("{") for line in lines[:20])
    is_jsonl = form == "jsonl" or lines[0].lstrip().startswith("{") or braces * 2 > min(len(lines), 20)
    sample = _read_jsonl(lines, broken) if is_jsonl and form != "csv" else _read_csv(text, broken)
    return replace(sample, encoding=encoding)


def _as_utf8(data: bytes) -> tuple[bytes, str | None]:
    """Return the text in UTF-8, and the detected encoding of the lines that are not.

    An encoding is detected if most lines with non-ASCII letters are not UTF-8 and it explains them. Otherwise such
    lines are damaged, and are not changed.
    """
    lines = [line for line in data.split(b"\n") if not line.isascii()]
    other = [line for line in lines if not _is_utf8(line)]
    encoding = guess_encoding(other) if len(other) * 2 > len(lines) else None
    if encoding is None:
        return data, None
    decoded = (line if _is_utf8(line) else _recoded(line, encoding) for line in data.split(b"\n"))
    return b"\n".join(decoded), encoding


def _recoded(line: bytes, encoding: str) -> bytes:
    try:
        return line.decode(encoding).encode()
    except UnicodeDecodeError:
        return line


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_csv(text: str, broken: int) -> Sample:
    head = text[:_HEAD]
    dialect = read_dialect(head if len(text) <= _HEAD else head[: head.rfind("\n") + 1] or head)
    width = len(dialect.header)
    rows: list[tuple[Cell | None, ...]] = []
    unreadable = long = 0
    reader = csv_rows(without_lines(text, dialect.above), dialect.delimiter, dialect.spaced)
    next(reader)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:
            unreadable += 1
            continue
        if any(map(str.strip, row)):
            long += len(row) > width
            padded = [*row[:width], *[""] * (width - len(row))]
            rows.append(tuple([Cell("cell", cell) if cell else None for cell in padded]))
    if not rows:
        raise SampleError("the sample has a header but no rows: give a file with a few.")
    return _without_empty_columns(Sample("csv", dialect.header, tuple(rows), unreadable, broken, long, dialect.above))


def _without_empty_columns(sample: Sample) -> Sample:
    """Remove the columns that have neither a name nor a value (as after a delimiter at the end of each line)."""
    indexes = [index for index, name in enumerate(sample.columns) if name or any(row[index] for row in sample.rows)]
    columns = tuple(sample.columns[index] or f"column_{index + 1}" for index in indexes)
    return replace(sample, columns=columns, rows=tuple(tuple(row[index] for index in indexes) for row in sample.rows))


def _read_jsonl(lines: list[str], broken: int) -> Sample:
    objects = list(_objects(lines))
    if len(objects) * 2 < len(lines):
        raise SampleError(
            "fewer than half of the lines are JSON objects: write one whole object per line, with jq -c . FILE."
        )
    columns = tuple(dict.fromkeys(key for item in objects for key in item))
    if not columns:
        raise SampleError("the sample's objects are all empty: give a file with a few fields.")
    rows = tuple(tuple(_cell(item.get(key)) for key in columns) for item in objects)
    return Sample("jsonl", columns, rows, len(lines) - len(objects), broken, nested=_nested(objects))


def _nested(objects: list[dict[str, Any]]) -> dict[tuple[str, ...], tuple[Cell | None, ...]]:
    nested: dict[tuple[str, ...], list[Cell | None]] = {}
    for index, item in enumerate(objects):
        for path, cell in _leaves(item, ()):
            if path in nested or len(nested) < _MOST_NESTED:
                cells = nested.setdefault(path, [])
                cells.extend([None] * (index - len(cells)))
                cells.append(cell)
    return {path: (*cells, *[None] * (len(objects) - len(cells))) for path, cells in nested.items()}


def _leaves(item: dict[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Cell]]:
    for key, value in item.items():
        if isinstance(value, dict):
            if len(above) < _DEEPEST and key.strip() and key.isprintable():
                yield from _leaves(cast("dict[str, Any]", value), (*above, key))
        elif above and key.strip() and key.isprintable() and (cell := _cell(value)) and cell.kind in ("text", "number"):
            yield (*above, key), cell


def _objects(lines: list[str]) -> Iterator[dict[str, Any]]:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is not JSON")

    for line in lines:
        try:
            item = json.loads(line, parse_float=_Number, parse_int=_Number, parse_constant=refuse)
        except (ValueError, RecursionError):
            continue
        if isinstance(item, dict):
            yield cast("dict[str, Any]", item)


def _cell(value: Any) -> Cell | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return Cell("boolean", "true" if value else "false")
    if isinstance(value, _Number):
        return Cell("number", str(value))
    if isinstance(value, str):
        return Cell("text", value)
    return Cell("json", "{" if isinstance(value, dict) else "[")
