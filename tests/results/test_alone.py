"""A test marked `alone` waits for the others, and they for it."""

import threading
from collections.abc import Callable
from pathlib import Path

from tests.support.alone import turn
from tests.support.conditions import wait_until


class Test:
    """Test in a thread, from when its turn comes until `end` is called."""

    __test__ = False

    def __init__(self, folder: Path, alone: bool = False) -> None:
        self._begun, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=[folder, alone], daemon=True)
        self._thread.start()

    def _run(self, folder: Path, alone: bool) -> None:
        with turn(folder, alone):
            self._begun.set()
            self._ending.wait()

    def runs(self) -> bool:
        return self._begun.is_set() and not self._ending.is_set()

    def waits(self) -> bool:
        return not self._begun.is_set()

    def end(self) -> None:
        self._ending.set()
        self._thread.join()


def settled(condition: Callable[[], bool]) -> bool:
    """Return whether it stays true for half a second."""
    try:
        wait_until(lambda: not condition(), seconds=0.5, every=0.02)
    except AssertionError:
        return True
    return False


def test_one_alone_has_the_machine_to_itself_and_none_passes_it_by(tmp_path: Path) -> None:
    first, second = Test(tmp_path), Test(tmp_path)
    wait_until(lambda: first.runs() and second.runs())
    alone = Test(tmp_path, alone=True)
    first.end()
    assert settled(alone.waits)
    late = Test(tmp_path)
    assert settled(late.waits)
    second.end()
    wait_until(alone.runs)
    assert settled(late.waits)
    alone.end()
    wait_until(late.runs)
    late.end()
