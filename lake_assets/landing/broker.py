"""The lake's Kafka broker: clients that raise one error when it does not answer, instead of logging for ever."""

import logging
import re
import socket
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from lake_assets.errors import LakeError, SettingsError, Unavailable
from lake_assets.kafka_security import check_ca, librdkafka_options, read_certificate, read_password
from lake_assets.landing.kafka_admin import KafkaAdmin
from lake_assets.settings import Settings

DEADLINE_SECONDS = 30.0

_SILENT = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError.REQUEST_TIMED_OUT,
    }
)
# For a moment after a broker has started, clients know its partitions as they were before.
_MOVING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.STALE_BROKER_EPOCH,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.NOT_CONTROLLER,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.OFFSET_NOT_AVAILABLE,
    }
)
_REFUSED = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})
# OpenSSL's words when the broker sends its reason as a TLS alert.
_ALERT = "SSL alert number"
_CERTIFICATE_ALERT = re.compile(f"(certificate|unknown ca).*{_ALERT}")
_TOKENLESS = "Failed to acquire SASL OAUTHBEARER token: "
_HANG_UP = "connection closed by peer"
# librdkafka's words in the failed login of a connection that broke before the broker's answer.
_CUT_OFF = "Local: Broker transport failure"
# A broker that stops or starts hangs up too, but for a shorter time.
_HANG_UP_SECONDS = 5.0
_POLL_SECONDS = 0.5
Options = dict[str, str | int | float | bool]


def broker_options(settings: Settings) -> Options:
    """Return the broker's address and how a client authenticates. Raises SettingsError for an unusable file."""
    access = settings.kafka_access
    check_ca(access.ca, "LAKE_KAFKA_CA")
    if access.tokens:
        check_ca(access.tokens.ca, "LAKE_KAFKA_TOKEN_CA")
    if access.certificate:
        read_certificate(access.certificate, "LAKE_KAFKA_CERTIFICATE")
    password = read_password(access.password_file, "LAKE_KAFKA_PASSWORD_FILE") if access.sasl else ""
    return {"bootstrap.servers": settings.kafka, **librdkafka_options(access, password)}


def client_config(settings: Settings) -> Options:
    """Return the options of every client.

    Raises Unavailable at once when no broker listens, and SettingsError when it refuses the lake: for both librdkafka
    would wait.
    """
    if settings.kafka.endswith(":0"):
        raise Unavailable("this lake has no Kafka broker yet: start it with `lake up`.")
    if all(_is_refused(address) for address in settings.kafka.split(",")):
        raise Unavailable(
            f"the Kafka broker at {settings.kafka} does not answer (connection refused): start it with `lake up`."
        )
    options = broker_options(settings)
    if error := silence(options, DEADLINE_SECONDS):
        raise broker_error(settings, error, "describe topics")
    return {**options, "client.id": "lake"}


def silence(options: Mapping[str, str | int | float | bool], seconds: float) -> KafkaError | None:
    """Return the reason that the broker does not answer, or None when it does.

    A refusal is returned at once, hang-ups after a few seconds, and every other reason after `seconds`. librdkafka
    reports only a timeout to its caller, and the reason to a callback. Of a broker that hangs up without a reason it
    reports there only that all brokers are down.
    """
    errors: list[KafkaError] = []
    config: dict[str, Any] = {**options, "error_cb": errors.append}
    began = time.monotonic()
    try:
        client = AdminClient(config, logger=quiet())
    except KafkaException as exception:
        return error_of(exception)
    while True:
        try:
            client.list_topics(timeout=min(_POLL_SECONDS, seconds))
        except KafkaException as exception:
            error = error_of(exception)
        else:
            return None
        client.poll(0)
        if refusals := [e for e in errors if _refuses(e)]:
            return refusals[0]
        waited = time.monotonic() - began
        if waited > min(seconds, _HANG_UP_SECONDS) and errors and all(map(hangs_up, errors)):
            return errors[0]
        if waited > seconds:
            return next((e for e in errors if e.code() != KafkaError._ALL_BROKERS_DOWN), error)


def _refuses(error: KafkaError) -> bool:
    """Return True if the broker has answered, and not let in this client."""
    return (error.code() in _REFUSED and _CUT_OFF not in error.str()) or _ALERT in error.str()


def hangs_up(error: KafkaError) -> bool:
    """Return True if the broker accepted the connection and closed it before it answered."""
    return error.code() == KafkaError._ALL_BROKERS_DOWN or _HANG_UP in error.str()


def _is_refused(address: str) -> bool:
    host, _, port = address.strip().rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=DEADLINE_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False  # librdkafka finds the reason: it tries more than one address
    return False


def quiet() -> logging.Logger:
    """Return a logger for librdkafka, which otherwise prints a line to stderr for each refused connection."""
    logger = logging.getLogger("lake_assets.kafka")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    return logger


def admin(settings: Settings, **options: str | int | float | bool) -> KafkaAdmin:
    return AdminClient({**client_config(settings), **options}, logger=quiet())


def broker_error(settings: Settings, error: KafkaError, doing: str) -> LakeError:
    """Return the error for users: Unavailable when the broker does not answer, SettingsError when it refuses the lake.

    Else the broker's own error of `doing`.
    """
    access = settings.kafka_access
    if access.tokens and _TOKENLESS in error.str():
        return SettingsError(
            f"{access.tokens.url} gives no token for user '{access.user}' ({_reason(error)}): check the settings "
            f"LAKE_KAFKA_TOKEN_…, LAKE_KAFKA_USER and the secret in {access.password_file}."
        )
    if error.code() == KafkaError._AUTHENTICATION and _refuses(error):
        return SettingsError(
            f"the Kafka broker at {settings.kafka} does not let in user '{access.user}' ({_reason(error)}): check "
            f"LAKE_KAFKA_USER, LAKE_KAFKA_SASL_MECHANISM and the password in {access.password_file}."
        )
    if _CERTIFICATE_ALERT.search(error.str()):
        file = access.certificate or "none yet"
        return SettingsError(
            f"the Kafka broker at {settings.kafka} requires a certificate that it trusts ({_reason(error)}): set "
            f"LAKE_KAFKA_CERTIFICATE, which is {file}, to the file of the lake's own."
        )
    if error.code() == KafkaError._SSL or _ALERT in error.str():
        return SettingsError(
            f"the Kafka broker at {settings.kafka} cannot be reached safely ({_reason(error)}): check that "
            "LAKE_KAFKA_CA is the certificate file of its authority, and that LAKE_KAFKA_SECURITY is its protocol."
        )
    if error.code() == KafkaError._INVALID_ARG:
        return SettingsError(f"Kafka's client does not take the settings ({_reason(error)}): check LAKE_KAFKA_….")
    if hangs_up(error):
        return Unavailable(
            f"the Kafka broker at {settings.kafka} closes each connection: check that its listener's protocol is "
            f"'{access.protocol}', and set LAKE_KAFKA_SECURITY to that protocol."
        )
    if error.code() in _SILENT or _CUT_OFF in error.str():
        return Unavailable(
            f"the Kafka broker at {settings.kafka} does not answer ({error.str()}): start it with `lake up`, "
            f"or see `lake status`."
        )
    if error.code() in _MOVING:
        return Unavailable(
            f"the Kafka broker at {settings.kafka} has just started or moved and is not ready to {doing} "
            f"({error.str()}): try again in a moment."
        )
    return LakeError(f"Kafka refused to {doing}: {error.str()}.")


def _reason(error: KafkaError) -> str:
    """Return the error's text without the address or task before it and the milliseconds after it."""
    return re.sub(rf"^{_TOKENLESS}|^\w+://\S+: | \(after \d+ms in state \w+.*$", "", error.str())


def error_of(exception: KafkaException) -> KafkaError:
    return exception.args[0]
