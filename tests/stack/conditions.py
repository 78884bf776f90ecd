"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 240, every: float = 0.2) -> None:
    """Return when `condition()` is true; fail after `seconds`, many, for a machine that has other things to do."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(every)
