"""Physical lines of a file or of stdin, and their format: CSV or JSONL."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import PurePath
from typing import Literal

from lake_assets.errors import LakeError
from lake_assets.landing.csv_lines import json_lines

Format = Literal["csv", "jsonl"]

_SUFFIXES: dict[str, Format] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_UTF8_MARK = b"\xef\xbb\xbf"
_SNIFFED_LINES = 20


class InputError(LakeError):
    """An input cannot be read; the message has the remedy."""


def event_lines(
    lines: Iterable[bytes], name: str, form: Format | None = None, encoding: str | None = None
) -> Iterator[bytes]:
    """Yield the events in physical lines, one JSON line each.

    JSONL is unchanged, without line ends and blank lines; CSV is converted by `csv_lines`. The suffix of `name` decides
    the format, else the first lines do. Lines that are not UTF-8 are read in the `encoding`, if they can be. Raises
    SampleError.
    """
    source = iter(lines) if encoding is None else (_decoded(line, encoding) for line in lines)
    # The mark belongs to the file, not to its first event.
    head = [line.removeprefix(_UTF8_MARK) for line in islice(source, 1)]
    form = form or _SUFFIXES.get(PurePath(name).suffix.lower())
    if form is None:
        head += islice(source, _SNIFFED_LINES - 1)
        form = _sniff(head)
    everything = chain(head, source)
    return json_lines(everything) if form == "csv" else _stripped(everything)


def _decoded(line: bytes, encoding: str) -> bytes:
    if line.isascii():
        return line
    try:
        line.decode()
    except UnicodeDecodeError:
        try:
            return line.decode(encoding).encode()
        except UnicodeDecodeError:
            pass
    return line


def _stripped(lines: Iterable[bytes]) -> Iterator[bytes]:
    for line in lines:
        event = line.rstrip(b"\r\n")
        if event and not event.isspace():
            yield event


def _sniff(head: list[bytes]) -> Format:
    texts = [text for line in head if (text := line.strip())]
    return "jsonl" if sum(text.startswith(b"{") for text in texts) * 2 > len(texts) or not texts else "csv"
