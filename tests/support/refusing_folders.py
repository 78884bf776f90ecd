"""Folders that refuse writes, by the means that this machine has; a test is skipped where it has none."""

import os
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def read_only(folder: Path) -> Generator[None]:
    """A folder that may be read meanwhile, and not written. No mode keeps root from writing, but a mount does."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        held = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
        modes = {path: path.stat().st_mode for path in held}
        for path in held:
            path.chmod(0o555)
        try:
            yield
        finally:
            for path, mode in modes.items():
                path.chmod(mode)
        return
    _mount("--bind", str(folder), str(folder))
    try:
        _mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        _unmount(folder)


@contextmanager
def small(folder: Path, kilobytes: int) -> Generator[Callable[[int], None]]:
    """An empty folder with so much room; yields what gives it more. Files written there are deleted afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={kilobytes}k,mode=777", "tmpfs", str(folder))

    def grow(to: int) -> None:
        _mount("-o", f"remount,size={to}k", str(folder))

    try:
        yield grow
    finally:
        _unmount(folder)


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


def _unmount(folder: Path) -> None:
    # A process that has a file of it open keeps its own view of it until it closes the file.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
