"""What the two EMR runners share: how long a job's name is remembered, and how one is started once."""

import time
from collections.abc import Callable

from lake_assets.aws import ATTEMPTS
from lake_assets.errors import Unavailable

# Longer than any run and its retries; a job's name is not used again after that.
LOOKBACK_SECONDS = 7 * 86_400


def start_once(is_there: Callable[[], bool], start: Callable[[], None], pause: float) -> None:
    """For a call without an idempotency token: the SDK would repeat one whose answer was lost and start a second job.

    `start` must not repeat itself. Here every attempt looks first. `pause` is in seconds and doubles. Raises
    LakeError.
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
