"""Rows and sums of a file by `csv`, `json` and pyarrow, independent of the lake."""

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import pyarrow.feather as feather
import pyarrow.parquet as pq

from tests.support.strangers.shape import Shape

Row = Mapping[str, Any]
_UNPACKED = {".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress}


def read_rows(shape: Shape) -> list[Row]:
    """Return the rows by the names of their columns; a column without a name, or with one of another, has a number."""
    path, data = PurePath(shape.file), shape.data
    if path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            (member,) = archive.namelist()
            path, data = PurePath(member), archive.read(member)
    elif path.suffix in _UNPACKED:
        path, data = PurePath(path.stem), _UNPACKED[path.suffix](data)
    if path.suffix == ".parquet":
        return pq.read_table(io.BytesIO(data)).to_pylist()
    if path.suffix == ".arrow":
        return feather.read_table(io.BytesIO(data)).to_pylist()
    text = data.decode(shape.encoding, "replace")
    if path.suffix in (".json", ".geojson", ".jsonl", ".log") and not text.startswith("#"):
        return _read_json(text, shape.within)
    return _read_csv(text, shape)


def _read_json(text: str, within: str) -> list[Row]:
    if within == "columns":
        columns = json.loads(text, parse_float=Decimal)
        return [dict(zip(columns, row, strict=True)) for row in zip(*map(dict.values, columns.values()), strict=True)]
    if within:
        return json.loads(text, parse_float=Decimal)[within]
    if text.lstrip().startswith("["):
        return json.loads(text, parse_float=Decimal)
    decoder, rows, at = json.JSONDecoder(parse_float=Decimal), list[Row](), 0
    while at < len(text):
        row, at = decoder.raw_decode(text, at)
        rows.append(row)
        at += len(text[at:]) - len(text[at:].lstrip())
    return rows


def _read_csv(text: str, shape: Shape) -> list[Row]:
    if text.startswith("#separator"):
        text = "\n".join(line for line in text.replace("#fields\t", "").split("\n") if not line.startswith("#"))
    text = text.split("\n", shape.above)[-1]
    header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=shape.separator)
    header = [*([""] if shape.labels else []), *header]
    names: list[str] = []
    for number, name in enumerate(header, start=1):
        name = name.strip() or f"column_{number}"
        names.append(f"{name}_{names.count(name) + 1}" if name in names else name)
    return [dict(zip(names, row, strict=False)) for row in rows if any(map(str.strip, row))]


def sum_of(rows: Iterable[Row], column: str, shape: Shape) -> Decimal:
    """Return the sum of a column's numbers."""
    return sum((_number(row.get(column), shape) for row in rows), Decimal(0))


def _number(value: Any, shape: Shape) -> Decimal:
    text = "" if value is None else str(value).strip()
    if text in shape.missing or text == "":
        return Decimal(0)
    text = "".join(letter for letter in text if letter not in shape.signs)
    return Decimal(text.replace(".", "").replace(",", ".") if shape.decimal == "," else text)
