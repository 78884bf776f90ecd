"""The reader of the fault tests is no good when it sees nothing."""

import threading
from typing import cast

import pytest

from tests.support.conditions import wait_until
from tests.support.staging_readers import BEFORE, State, reader
from tests.support.visits import Visits


class Table:
    """Table that can be read once; the next read waits for `go_on`, and fails."""

    def __init__(self) -> None:
        self.looks = 0
        self.go_on = threading.Event()

    def rows(self, _: str) -> State:
        self.looks += 1
        if self.looks > 1:
            assert self.go_on.wait(60)
            raise OSError("it is gone")
        return BEFORE

    def fail_at_second_look(self) -> None:
        wait_until(lambda: self.looks == 2)
        self.go_on.set()


def test_a_reader_that_could_not_read_fails_its_test() -> None:
    table = Table()
    with pytest.raises(AssertionError, match="it is gone"), reader(cast("Visits", table)) as seen:
        table.fail_at_second_look()
    assert seen == {BEFORE}


def test_a_reader_that_hardly_looked_fails_its_test(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table()
    monkeypatch.setattr(Table, "rows", lambda self, _: self.go_on.wait(60) and BEFORE)
    table.go_on.set()
    with pytest.raises(AssertionError, match="times only"), reader(cast("Visits", table)):
        monkeypatch.setattr("tests.support.staging_readers.LOOKS", 10**9)
