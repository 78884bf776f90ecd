"""Shared parts of the two EMR runners: the time a job's name is looked up, and a start that happens once."""

import time
from collections.abc import Callable

from lake_assets.aws import ATTEMPTS
from lake_assets.errors import Unavailable

# Longer than any run and its retries; a job's name is not used again after that.
LOOKBACK_SECONDS = 7 * 86_400


def start_once(is_there: Callable[[], bool], start: Callable[[], None], pause: float) -> None:
    """Start a job with a call that has no idempotency token.

    The SDK would repeat a call whose answer was lost, and start a second job. So `start` must not repeat itself, and
    each attempt checks `is_there` first. `pause` is in seconds and doubles. Raises LakeError.
    """
    for attempt in range(ATTEMPTS):
        if is_there():
            return
        try:
            return start()
        except Unavailable:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(pause * 2**attempt)
