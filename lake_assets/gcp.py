"""Calls to Google Cloud: retries, credentials, errors for users."""

import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeVar

from lake_assets.errors import LakeError, SettingsError, Unavailable

if TYPE_CHECKING:
    from google.api_core.retry import Retry
    from google.cloud.bigquery import Client

_RETRY_SECONDS = 300.0
# BigQuery's reasons for temporary errors, whatever the status code they come with.
_TRANSIENT_REASONS = frozenset({"rateLimitExceeded", "jobRateLimitExceeded", "backendError", "internalError"})
T = TypeVar("T")


def retry_policy() -> "Retry":
    """Return the policy for calls that may be retried. Without it the libraries give up on some at the first error."""
    from google.api_core.retry import Retry

    return Retry(is_transient, initial=0.5, maximum=30, timeout=_RETRY_SECONDS)


def is_transient(error: Exception) -> bool:
    """Return True for a temporary error: too many requests, a server's own fault, a broken connection."""
    import requests
    from google.api_core import exceptions
    from google.auth.exceptions import TransportError

    kinds = (
        exceptions.ServiceUnavailable,
        exceptions.TooManyRequests,
        exceptions.InternalServerError,
        exceptions.BadGateway,
        exceptions.GatewayTimeout,
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        TransportError,
    )
    if isinstance(error, kinds):
        return True
    parts = error.errors if isinstance(error, exceptions.GoogleAPICallError) else ()
    return any(isinstance(part, dict) and part.get("reason") in _TRANSIENT_REASONS for part in parts)


@contextmanager
def refusals(service: str, refuses: str, remedy: str) -> Generator[None]:
    """Raise Unavailable for temporary errors, LakeError for others. `remedy` names what to check."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError

    try:
        yield
    except RetryError as error:
        raise Unavailable(f"{service} does not answer, try again later: {_text(error)}") from error
    except GoogleAPICallError as error:
        raise LakeError(f"{service} {refuses}, check {remedy}: {_text(error)}") from error


def _text(error: Exception) -> str:
    return " ".join(str(error).split())


def unless_missing(call: Callable[[], T]) -> T | None:
    """Return the call's result, or None if the resource does not exist."""
    from google.api_core.exceptions import NotFound

    try:
        return call()
    except NotFound:
        return None


def connected(make: Callable[[], T]) -> T:
    """Return a client. Raises SettingsError when there are no credentials."""
    from google.auth.exceptions import DefaultCredentialsError

    try:
        return make()
    except DefaultCredentialsError:
        raise SettingsError(
            "there are no Google credentials: run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS."
        ) from None


def bigquery_client(project: str, location: str) -> "Client":
    """Return a client of BigQuery. `BIGQUERY_EMULATOR_HOST` is Google's own variable. Raises SettingsError."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.bigquery import Client

    credentials = AnonymousCredentials() if "BIGQUERY_EMULATOR_HOST" in os.environ else None
    return connected(lambda: Client(project, credentials, location=location))


def bigquery_refusals(refuses: str) -> AbstractContextManager[None]:
    """Return `refusals` of BigQuery, with `refuses` as the verb of its sentences."""
    return refusals("BigQuery", refuses, "LAKE_GCP_PROJECT, LAKE_GCP_LOCATION and the rights of the Google credentials")
