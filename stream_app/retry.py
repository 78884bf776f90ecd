"""Retries of requests to a broker that may be unavailable for a moment."""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaException

# A killed broker is back, with its own logs read, within this time.
SECONDS = 60.0
_PAUSE_SECONDS = 0.2

Answer = TypeVar("Answer")


def call_with_retry(request: Callable[[], Answer]) -> Answer:
    """Return the answer, retried until the broker gives one; raises the last KafkaException after a minute.

    A broker that has just come back rejects requests for seconds, and the client library reports some of these errors
    as final.
    """
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return request()
        except KafkaException as error:
            if error.args[0].fatal() or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)
