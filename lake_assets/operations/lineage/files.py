"""Files of events in the lake's folder: one JSON object a line, in numbered files of a bounded size and number.

They are also the queue of the events that are to be sent: a reader knows the file and the byte that it has come to.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lake_assets.settings import Settings

FILE_BYTES = 8_000_000
FILES = 5
_PATTERN = "events-*.jsonl"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the files: a file's number, and the byte in it."""

    file: int = 0
    byte: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """An event as it is in a file, and the position after it."""

    content: bytes
    after: Position


def lineage_folder(settings: Settings) -> Path:
    """Return the folder of the events and of all that belongs to them."""
    return settings.home / "lineage"


def append(folder: Path, lines: Iterable[str], unsent: Position | None = None) -> int:
    """Append lines; they are on the disk afterwards. A file that is full is followed by a new one. Raises OSError.

    Of more than `FILES` files the oldest are deleted. Return how many of their events come after the position `unsent`.
    What a crash left of a line is cut off.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = newest(folder) or 1
    _cut_torn_line(_path(folder, number))
    pending = list(lines)
    while pending:
        path = _path(folder, number)
        size = path.stat().st_size if path.exists() else 0
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            written = 0
            for line in pending:
                content = line.encode() + b"\n"
                if size and size + len(content) > FILE_BYTES:
                    break
                file.write(content)
                size += len(content)
                written += 1
            file.flush()
            os.fsync(file.fileno())
        pending = pending[written:]
        number += bool(pending)
    lost = 0
    for old in _numbers(folder)[:-FILES]:
        if unsent is not None:
            lost += sum(1 for _ in read_from(folder, max(unsent, Position(old)), old))
        _path(folder, old).unlink(missing_ok=True)
    return lost


def read_from(folder: Path, position: Position, last: int | None = None) -> Iterator[Line]:
    """Yield the complete lines after a position, to the end of the file `last`; deleted files are left out."""
    for number in _numbers(folder):
        if number < position.file or (last is not None and number > last):
            continue
        try:
            file = _path(folder, number).open("rb")
        except FileNotFoundError:
            continue
        with file:
            file.seek(position.byte if number == position.file else 0)
            for content in file:
                if content.endswith(b"\n"):
                    yield Line(content.rstrip(b"\n"), Position(number, file.tell()))


def newest(folder: Path) -> int:
    """Return the number of the newest file; 0 if there is none."""
    return max(_numbers(folder), default=0)


def count_lines(folder: Path, position: Position) -> int:
    """Return the number of events after a position."""
    return sum(1 for _ in read_from(folder, position))


def _numbers(folder: Path) -> list[int]:
    names = (path.stem.removeprefix("events-") for path in folder.glob(_PATTERN))
    return sorted(int(name) for name in names if name.isdecimal())


def _path(folder: Path, number: int) -> Path:
    return folder / f"events-{number:08d}.jsonl"


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        start = end
        # The last complete line ends before the first byte of the torn one.
        while start > 0:
            begin = max(0, start - 65_536)
            file.seek(begin)
            found = file.read(start - begin).rfind(b"\n")
            if found >= 0:
                start = begin + found + 1
                break
            start = begin
        if start < end:
            file.truncate(start)
