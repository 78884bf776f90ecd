"""Tests that have the machine to themselves: while one marked `alone` runs, no other worker of pytest begins a test.

Kills at random, beside other tests, took twice the processor time: what starts slowly is killed before it has worked.
"""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(folder: Path, alone: bool) -> Generator[None]:
    """Wait for this test's turn among the processes that use `folder`; alone, until all others have ended theirs.

    Who waits for the machine holds the gate, so that those that come later do not pass it by.
    """
    with (folder / "gate").open("a") as gate, (folder / "machine").open("a") as machine:
        fcntl.flock(gate, fcntl.LOCK_EX)
        try:
            fcntl.flock(machine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            if not alone:
                fcntl.flock(gate, fcntl.LOCK_UN)
            yield
        finally:
            # Not only by closing them: a forked child of the test has the same open files.
            fcntl.flock(machine, fcntl.LOCK_UN)
            fcntl.flock(gate, fcntl.LOCK_UN)
