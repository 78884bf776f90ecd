"""The lake's Kafka broker: clients that say in one sentence when it does not answer, instead of logging for ever."""

import logging
import socket

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from lake_assets.errors import LakeError, Unavailable
from lake_assets.settings import Settings

DEADLINE_SECONDS = 30.0

_SILENT = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError.REQUEST_TIMED_OUT,
    }
)


def client_config(settings: Settings) -> dict[str, str | int | float | bool]:
    """What every client needs. Raises Unavailable at once when no broker listens, for which librdkafka would wait."""
    if settings.kafka.endswith(":0"):
        raise Unavailable("this lake has no Kafka broker yet: start it with `lake up`.")
    if all(_is_refused(address) for address in settings.kafka.split(",")):
        raise Unavailable(
            f"the Kafka broker at {settings.kafka} does not answer (connection refused): start it with `lake up`."
        )
    return {"bootstrap.servers": settings.kafka, "client.id": "lake"}


def _is_refused(address: str) -> bool:
    host, _, port = address.strip().rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=DEADLINE_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False  # for librdkafka to find out, which knows more than one way
    return False


def quiet() -> logging.Logger:
    """A logger for librdkafka, which otherwise prints a line to stderr for each refused connection."""
    logger = logging.getLogger("lake_assets.kafka")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger


def admin(settings: Settings, **options: str | int | float | bool) -> AdminClient:
    return AdminClient({**client_config(settings), **options}, logger=quiet())


def broker_error(settings: Settings, error: KafkaError, doing: str) -> LakeError:
    """The error for a person: Unavailable when nobody answers, else what the broker said to `doing`."""
    if error.code() in _SILENT:
        return Unavailable(
            f"the Kafka broker at {settings.kafka} does not answer ({error.str()}): start it with `lake up`, "
            f"or see what `lake status` says about it."
        )
    return LakeError(f"Kafka refused to {doing}: {error.str()}.")


def error_of(exception: KafkaException) -> KafkaError:
    return exception.args[0]
