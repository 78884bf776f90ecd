"""A disk that loses at a power cut whatever this process has not synced: contents, and names in folders."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock


class Disk:
    """Content of each file and names in each folder as of its last sync, by inode."""

    def __init__(self) -> None:
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}

    def sync(self, path: Path) -> None:
        inode = path.stat().st_ino
        if path.is_dir():
            self._names[inode] = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            self._contents[inode] = path.read_bytes()

    def sync_all(self, root: Path) -> None:
        """Take what is there as written long ago."""
        for path in (root.parent, root, *root.rglob("*")):
            self.sync(path)

    def cut(self, root: Path) -> list[str]:
        """Leave in the folder what was synced; return the files and folders that were lost or changed by it."""
        lost: list[str] = []
        for folder, folders, files in os.walk(root):
            names = self._names.get(Path(folder).stat().st_ino, {})
            for name in (*files, *folders):
                path = Path(folder) / name
                inode = path.stat().st_ino
                if names.get(name) != inode:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                elif path.is_dir() or path.read_bytes() == self._contents.get(inode):
                    continue
                else:
                    path.write_bytes(self._contents.get(inode, b""))
                lost.append(str(path.relative_to(root)))
            folders[:] = [name for name in folders if (Path(folder) / name).exists()]
        return lost


@contextmanager
def recorded_disk() -> Generator[Disk]:
    """Yield the disk that has what this process syncs meanwhile."""
    disk, fsync = Disk(), os.fsync

    def record(descriptor: int) -> None:
        fsync(descriptor)
        disk.sync(Path(f"/proc/self/fd/{descriptor}").readlink())

    with mock.patch.object(os, "fsync", record):
        yield disk
