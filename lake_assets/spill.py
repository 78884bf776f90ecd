"""Folders for the data that DuckDB spills: one for each session, readable by its owner alone, removed with it.

DuckDB gives its files the same names in every process and opens them without a lock. Two sessions that spilled into one
folder overwrote each other's blocks: both ended with I/O errors or by a segmentation fault.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = ".lock"
# Older versions made files and folders without a lock; a process of theirs may still write to a younger one.
_AGE_WITHOUT_LOCK = 86_400.0


def spill_root(home: Path) -> Path:
    """Return the folder of a lake that all its spill folders are below."""
    return home / "tmp"


class SpillFolder:
    """A new folder below `parent`. A lock that the kernel releases with the process distinguishes it from an orphan."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix="spill-", dir=parent))
            try:
                self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            except FileNotFoundError:
                continue  # removed as an orphan before it had its lock
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if os.fstat(self._lock).st_nlink:
                break
            os.close(self._lock)

    def remove(self) -> None:
        """Remove the folder with all that was spilled to it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


@contextmanager
def spill_folder(parent: Path) -> Iterator[Path]:
    """Make a spill folder for the duration of a block."""
    folder = SpillFolder(parent)
    try:
        yield folder.path
    finally:
        folder.remove()


def remove_orphans(home: Path) -> int:
    """Remove what processes that were killed have spilled; return the number of files and folders. Raises OSError."""
    removed = 0
    root = spill_root(home)
    parents = [root, *(root / name for name in ("duckdb", "conform"))]
    for parent in parents:
        for path in parent.iterdir() if parent.is_dir() else ():
            if path not in parents and _is_orphan(path):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                removed += 1
    return removed


def _is_orphan(path: Path) -> bool:
    try:
        lock = os.open(path / _LOCK, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        try:
            return time.time() - path.lstat().st_mtime > _AGE_WITHOUT_LOCK
        except FileNotFoundError:
            return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
