"""Questions to a broker that may be away for a moment."""

import time
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaException

# A broker that was killed is back, and has read its own logs, within this time.
SECONDS = 60.0
_PAUSE_SECONDS = 0.2

Answer = TypeVar("Answer")


def ask(question: Callable[[], Answer]) -> Answer:
    """The answer, asked for again until the broker gives one; raises the last KafkaException after a minute.

    A broker that has just come back refuses for seconds what it takes afterwards, and the client library hands some of
    these refusals on as if they were final.
    """
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return question()
        except KafkaException as error:
            if error.args[0].fatal() or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)
