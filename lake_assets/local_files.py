"""Files on this machine that several processes read or make: replaced in one step, and made by one at a time.

Only the standard library is used, because the set-up runs before there are any packages.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# All files of a lake are its owner's alone, whatever the caller's umask: raw payloads, Kafka's log, spilled rows.
UMASK = 0o077


def write_atomically(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Make or replace the file in one step; its folder is made too. Text is UTF-8. Raises OSError.

    A `private` file is never readable by others, not even for a moment.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    aside.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def replace_if_changed(path: Path, text: str) -> bool:
    """Write the file unless it holds this text; return whether it was written. Raises OSError."""
    if path.exists() and path.read_text("utf-8") == text:
        return False
    write_atomically(path, text)
    return True


@contextmanager
def file_lock(path: Path) -> Iterator[int]:
    """Hold an exclusive lock on the file, waiting for it; yield its descriptor. The folder is made too.

    The kernel releases it when the process dies, however it dies.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()
