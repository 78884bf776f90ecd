"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable

# The bound of what a document promises within seconds: ten times too slow must be noticed, a busy machine must not.
PROMISED_SECONDS = 60
# Between two looks that are commands, each of which takes a core for a second.
COMMAND_SECONDS = 1.0


def wait_until(condition: Callable[[], object], seconds: float = 240, every: float = 0.2) -> float:
    """Return when `condition()` is true, with the seconds that it took; fail after `seconds`, many, for a machine that
    has other things to do."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + seconds, f"not within {seconds} s"
        time.sleep(every)
    return round(time.monotonic() - began, 2)
