"""Waiting for a state that another process changes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def poll_until(read: Callable[[], T], is_done: Callable[[T], bool], seconds: float, every: float) -> T:
    """Read a value at intervals of `every` seconds until it is done or `seconds` have passed; return the last one."""
    deadline = time.monotonic() + seconds
    while not is_done(value := read()) and time.monotonic() < deadline:
        time.sleep(every)
    return value
