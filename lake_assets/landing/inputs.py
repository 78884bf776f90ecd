"""Files of any kind as lines of CSV or JSONL: the sample of `lake new` is what `lake produce` sends.

Compressed files, zip archives of one file, UTF-16, JSON arrays and documents, Parquet and Arrow become lines. Lines of
text stay byte for byte.
"""

import bz2
import glob
import gzip
import io
import json
import lzma
import sys
import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import IO, Any, cast

import msgspec

from lake_assets.landing.lines import Format, InputError
from lake_assets.landing.parquet_reader import parquet_reader

_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
_PACKED: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
_REFUSED: tuple[tuple[bytes, str], ...] = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook: save the sheet as CSV UTF-8 in Excel, and give that."),
    (b"%PDF", "a PDF: give the table as CSV."),
    (b"Obj\x01", "Avro: write it as Parquet or JSONL first."),
    (b"ORC", "ORC: write it as Parquet first."),
    (b"SQLite format", "an SQLite database: write a table as CSV first, with sqlite3 -csv -header."),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first."),
    (b"Rar!", "a RAR archive: unpack it first."),
)  # fmt: skip
_MARKUP: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "a web page: download the data that it shows, as CSV or JSON."),
    (b"<html", "a web page: download the data that it shows, as CSV or JSON."),
    (b"<?xml", "XML: write its rows as CSV or JSONL first."),
)
_ZEEK = b"#separator \\x09\n"
_WRAPPERS = frozenset({"records", "features", "data", "results", "rows", "events", "value", "logevents"})
_ROWS_AT_ONCE = 5_000
_SNIFFED_LINES = 20
_FEWEST = 2


@dataclass(frozen=True, slots=True)
class Input:
    """Lines, with their file's name without the suffixes of its packing. `form` is set if the content decides it."""

    lines: Iterator[bytes]
    name: str
    form: Format | None


def expanded(files: Sequence[str]) -> list[str]:
    """Return the files that the arguments name; a pattern such as `logs/*.csv` becomes its matches, in order."""
    names: list[str] = []
    for file in files:
        is_pattern = glob.has_magic(file) and not Path(file).exists()
        matches = sorted(glob.glob(file, recursive=True)) if is_pattern else [file]  # noqa: PTH207
        if not matches:
            raise InputError(f"'{file}' matches no file.")
        names += matches
    return names


@contextmanager
def opened(file: str, form: Format | None = None) -> "Generator[tuple[Input, IO[bytes]]]":
    """Yield the lines of a file (- is stdin), and the open file itself, whose position is that of the reader.

    Raises InputError for a file that cannot be read, with the remedy.
    """
    if file == "-":
        yield _read(sys.stdin.buffer, "-", form), sys.stdin.buffer
        return
    try:
        stream = Path(file).open("rb")  # noqa: SIM115
    except OSError as error:
        raise InputError(f"'{file}' cannot be read ({error.strerror}): name a file, or - for stdin.") from None
    with stream:
        yield _read(stream, file, form), stream


def _read(stream: Any, name: str, form: Format | None) -> Input:
    stream, inner = _unpacked(stream, name)
    head: bytes = stream.peek(4096)[:4096]
    for magic, description in _REFUSED:
        if head.startswith(magic):
            raise InputError(f"'{name}' is {description}")
    if head.startswith(b"PAR1"):
        return Input(_parquet(_seekable(stream), name), inner, "jsonl")
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return Input(_arrow(stream, name, is_file=head.startswith(b"ARROW1")), inner, "jsonl")
    # No LF in so many bytes: lines end as in classic Mac OS, unless it is JSON, where a CR is a blank.
    is_mac = b"\r" in head[:-1] and b"\n" not in head and not head.removeprefix(_UTF8_MARK).startswith((b"{", b"["))
    lines: Iterator[bytes] = _lines_ended_by_cr(stream) if is_mac else iter(stream)
    if encoding := _utf16(head):
        text = io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="\n")
        lines = (line.encode() for line in text)
        head = head.decode(encoding, errors="replace").encode()
    if head.startswith(_ZEEK):
        return Input(_zeek(lines, name), inner, "csv")
    if b"\x00" in head:
        raise InputError(f"'{name}' is not a text file: give CSV, JSON, Parquet or Arrow.")
    start = head.removeprefix(_UTF8_MARK).lstrip()
    for markup, description in _MARKUP:
        if start[: len(markup)].lower() == markup:
            raise InputError(f"'{name}' is {description}")
    first = start[:1]
    if form is None and first in (b"[", b"{") and PurePath(inner).suffix.lower() not in (".csv", ".tsv"):
        return Input(_json_lines(lines, PurePath(inner).suffix.lower() in (".json", ".geojson")), inner, "jsonl")
    return Input(lines, inner, form)


def _lines_ended_by_cr(stream: Any) -> Iterator[bytes]:
    """Yield the lines with LF at their ends, a CRLF further down counted as one end."""
    rest = b""
    while chunk := stream.read(1 << 16):
        *lines, rest = (rest + chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest


def _zeek(lines: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yield the header and the rows of a log, without its comment lines."""
    header = next((line for line in lines if line.startswith(b"#fields\t")), None)
    if header is None:
        raise InputError(f"'{name}' is a log of Zeek without its line #fields: get it again.")
    yield header.removeprefix(b"#fields\t")
    yield from (line for line in lines if not line.startswith(b"#"))


def _unpacked(stream: Any, name: str) -> tuple[Any, str]:
    """Return the stream of a packed file's content, and the name without the suffixes of the packing."""
    inner = name
    stream = stream if hasattr(stream, "peek") else io.BufferedReader(stream)
    for _ in range(3):
        head = stream.peek(8)[:8]
        kind = next((kind for magic, kind in _PACKED if head.startswith(magic)), None)
        if kind is not None:
            stream, inner = io.BufferedReader(_opener(kind)(stream)), str(PurePath(inner).with_suffix(""))
        elif head.startswith(b"PK\x03\x04"):
            stream, inner = _only_member(_seekable(stream), name)
        else:
            break
    return stream, inner


def _opener(kind: str) -> Callable[[Any], Any]:
    if kind == "zstd":
        import pyarrow as pa

        return lambda stream: pa.CompressedInputStream(stream, "zstd")
    openers: dict[str, Callable[[Any], Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    return openers[kind]


def _only_member(stream: Any, name: str) -> tuple[Any, str]:
    try:
        archive = zipfile.ZipFile(stream)
    except zipfile.BadZipFile:
        raise InputError(f"'{name}' is a damaged zip file: get it again.") from None
    members = [info for info in archive.infolist() if not info.is_dir() and not info.filename.startswith("__MACOSX/")]
    names = {info.filename for info in members}
    if "xl/workbook.xml" in names:
        raise InputError(f"'{name}' is an Excel workbook: save the sheet as CSV UTF-8 in Excel, and give that.")
    if "content.xml" in names:
        raise InputError(f"'{name}' is an OpenDocument file: save the sheet as CSV, and give that.")
    if len(members) != 1:
        raise InputError(
            f"'{name}' is a zip with {len(members)} files: unpack it, and name those that belong together."
        )
    if members[0].flag_bits & 1:
        raise InputError(f"'{name}' is a zip with a password: unpack it first.")
    return io.BufferedReader(cast(Any, archive.open(members[0]))), members[0].filename


def _seekable(stream: Any) -> Any:
    """Return the stream, or its content in memory, since these formats are read from their end."""
    return stream if stream.seekable() else io.BytesIO(stream.read())


def _utf16(head: bytes) -> str | None:
    if head.startswith(_UTF16_MARKS):
        return "utf-16"
    even, odd = head[:200:2], head[1:200:2]
    if len(odd) >= 4 and b"\x00" not in even and not any(odd):
        return "utf-16-le"
    return "utf-16-be" if len(odd) >= 4 and b"\x00" not in odd and not any(even) else None


def _json_lines(lines: Iterator[bytes], is_document: bool) -> Iterator[bytes]:
    """Yield JSON lines as they are; the elements of an array, or objects that do not have a line each, as a line each.

    Other content is yielded as lines, to be judged. With `is_document` a lone object may be one that wraps a list.
    """
    head = list(islice(lines, _SNIFFED_LINES))
    texts = [text for line in head if (text := line.removeprefix(_UTF8_MARK).strip())]
    whole = sum(map(_is_object, texts))
    if whole and whole * 2 >= len(texts) and not (len(texts) == 1 and is_document):
        yield from chain(head, lines)
        return
    data = b"".join(chain(head, lines)).removeprefix(_UTF8_MARK)
    documents = _documents(data)
    if documents is None:
        yield from io.BytesIO(data)
        return
    for document in documents:
        # Outside of strings, which contain none, a line end is the same as a blank.
        yield document.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n"


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False


def _documents(data: bytes) -> list[bytes] | None:
    """Return the elements of a JSON array, or the objects that follow each other, as written; None for neither.

    An object that wraps a list of objects, such as the `features` of GeoJSON or the `Records` of CloudTrail, stands for
    that list.
    """
    array = _array(data)
    if array is not None:
        return array
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    decoder, objects, start = json.JSONDecoder(), list[str](), 0
    while start < len(text):
        if text[start] in " \t\r\n,":
            start += 1
            continue
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            return [*(each.encode() for each in objects), *text[start:].encode().splitlines()] if objects else None
        if not isinstance(value, dict):
            return None
        objects.append(text[start:end])
        start = end
    if len(objects) == 1:
        only = objects[0].encode()
        return _rows_of_columns(only) or _listed(only) or [only]
    return [each.encode() for each in objects]


def _array(data: bytes) -> list[bytes] | None:
    try:
        return [bytes(element) for element in msgspec.json.decode(data, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, RecursionError):
        return None


def _rows_of_columns(document: bytes) -> list[bytes] | None:
    """Return the rows of an object of columns, as pandas writes it; None for any other object.

    Each column is a list, or an object with the rows' numbers as keys.
    """
    columns = _columns(document)
    lengths = {len(cells) for cells in columns.values()}
    if len(columns) < _FEWEST or len(lengths) != 1 or min(lengths) < _FEWEST:
        return None
    keys = [msgspec.json.encode(name) + b":" for name in columns]
    return [
        b"{" + b",".join(key + bytes(cell) for key, cell in zip(keys, row, strict=True)) + b"}"
        for row in zip(*columns.values(), strict=True)
    ]


def _columns(document: bytes) -> dict[str, list[msgspec.Raw]]:
    """Return the cells of each column, none for an object without columns."""
    with suppress(msgspec.ValidationError):
        return msgspec.json.decode(document, type=dict[str, list[msgspec.Raw]])
    with suppress(msgspec.ValidationError):
        numbered = msgspec.json.decode(document, type=dict[str, dict[str, msgspec.Raw]])
        if all(list(column) == [str(number) for number in range(len(column))] for column in numbered.values()):
            return {name: list(column.values()) for name, column in numbered.items()}
    return {}


def _listed(document: bytes) -> list[bytes] | None:
    members = msgspec.json.decode(document, type=dict[str, msgspec.Raw])
    lists = [array for key in members if key.lower() in _WRAPPERS and (array := _array(bytes(members[key])))]
    if len(lists) == 1 and all(element.startswith(b"{") for element in lists[0]):
        return lists[0]
    return None


def _parquet(stream: Any, name: str) -> Iterator[bytes]:
    import pyarrow as pa

    try:
        for batch in parquet_reader(stream).iter_batches(_ROWS_AT_ONCE):
            yield from _rows(pa.Table.from_batches([batch]))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"'{name}' is Parquet that cannot be read ({str(error).splitlines()[0]}).") from None


def _arrow(stream: Any, name: str, *, is_file: bool) -> Iterator[bytes]:
    import pyarrow as pa

    try:
        if is_file:
            reader = pa.ipc.open_file(_seekable(stream))
            batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            batches = iter(pa.ipc.open_stream(stream))
        for batch in batches:
            for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
                yield from _rows(pa.Table.from_batches([batch.slice(start, _ROWS_AT_ONCE)]))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"'{name}' is Arrow that cannot be read ({str(error).splitlines()[0]}).") from None


def _rows(table: Any) -> Iterator[bytes]:
    """Yield rows as JSON objects. Times are ISO 8601, decimals texts unless whole, bytes base64, and NaN is null."""
    import pyarrow as pa

    columns: list[Any] = []
    for column in table.columns:
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
        elif pa.types.is_timestamp(kind) and kind.unit == "ns":
            column = column.cast(pa.timestamp("us", kind.tz), safe=False)
        elif pa.types.is_decimal(kind) and kind.scale == 0 and kind.precision <= 18:
            column = column.cast(pa.int64())
        columns.append(column)
    encode = msgspec.json.Encoder(enc_hook=str).encode
    for row in pa.table(columns, names=table.column_names).to_pylist():
        yield encode(row) + b"\n"


def sample_of(files: Sequence[str], most: int) -> tuple[bytes, bool, Format | None]:
    """Return the first lines of the files, True if that is all of them, and the format.

    Files after the first add their rows if they have the same format, and CSV the same header.
    """
    sample, form = bytearray(), None
    for number, file in enumerate(files):
        with opened(file) as (source, _):
            lines = source.lines
            if number:
                header = next(lines, b"")
                if form != "jsonl" and header.strip() != bytes(sample).split(b"\n", 1)[0].strip():
                    return bytes(sample), False, form
                lines = chain([header], lines) if form == "jsonl" else lines
            else:
                form = source.form
            if sample and not sample.endswith(b"\n"):
                sample += b"\n"
            for line in lines:
                if len(sample) + len(line) > most and sample:
                    return bytes(sample), False, form
                sample += line
    return bytes(sample), True, form
