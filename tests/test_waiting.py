import os
from pathlib import Path

import pytest

from lake_assets.errors import Unavailable
from lake_assets.local_files import file_lock
from lake_assets.waiting import poll_until


def test_polling_ends_with_the_first_value_that_is_done() -> None:
    values = iter(range(10))
    assert poll_until(lambda: next(values), lambda value: value == 3, 60, 0) == 3


def test_polling_returns_the_last_value_when_the_time_is_up() -> None:
    values = iter(range(10))
    assert poll_until(lambda: next(values), lambda value: False, 0, 0) == 0


def test_wait_for_a_file_lock_ends_and_names_the_process_that_holds_it(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    for _ in range(2):
        held = pytest.raises(Unavailable, match=f"is held by process {os.getpid()}: wait for it")
        with file_lock(lock), held, file_lock(lock, seconds=0.2):
            pass
