"""The order in which this process syncs and renames files, as the operating system gets it."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock


@contextmanager
def recorded_calls() -> Generator[list[tuple[str, Path]]]:
    """Yield a list that gets ("sync", path) and ("rename", new path) as they are called."""
    calls: list[tuple[str, Path]] = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor: int) -> None:
        calls.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def record_replace(source: str | Path, target: str | Path) -> None:
        replace(source, target)
        calls.append(("rename", Path(target)))

    with mock.patch.object(os, "fsync", record_fsync), mock.patch.object(os, "replace", record_replace):
        yield calls
