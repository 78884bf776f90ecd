"""How the lake talks to Google Cloud: what is tried again, credentials, errors that a person can read."""

import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, TypeVar

from lake_assets.errors import LakeError, SettingsError, Unavailable

if TYPE_CHECKING:
    from google.api_core.retry import Retry
    from google.cloud.bigquery import Client

_PATIENCE_SECONDS = 300.0
# BigQuery's words for what may pass by itself, whatever the status code they come with.
_PASSING_REASONS = frozenset({"rateLimitExceeded", "jobRateLimitExceeded", "backendError", "internalError"})
T = TypeVar("T")


def patience() -> "Retry":
    """For calls that may be repeated. Without it the libraries give up on some calls at the first bad moment."""
    from google.api_core.retry import Retry

    return Retry(passing, initial=0.5, maximum=30, timeout=_PATIENCE_SECONDS)


def passing(error: Exception) -> bool:
    """Whether it may be over by itself: too many requests, a server's own fault, a broken connection."""
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
    told = error.errors if isinstance(error, exceptions.GoogleAPICallError) else ()
    return any(isinstance(part, dict) and part.get("reason") in _PASSING_REASONS for part in told)


@contextmanager
def refusals(service: str, refuses: str, mend: str) -> Generator[None]:
    """Raises Unavailable for what may pass by itself, LakeError for the rest. `mend` says what to check."""
    from google.api_core.exceptions import GoogleAPICallError, RetryError

    try:
        yield
    except RetryError as error:
        raise Unavailable(f"{service} does not answer, try again later: {_said(error)}") from error
    except GoogleAPICallError as error:
        raise LakeError(f"{service} {refuses}, check {mend}: {_said(error)}") from error


def _said(error: Exception) -> str:
    return " ".join(str(error).split())


def unless_missing(look: Callable[[], T]) -> T | None:
    """What the call answers, or None when there is no such thing."""
    from google.api_core.exceptions import NotFound

    try:
        return look()
    except NotFound:
        return None


def connected(make: Callable[[], T]) -> T:
    """A client. Raises SettingsError when there are no credentials."""
    from google.auth.exceptions import DefaultCredentialsError

    try:
        return make()
    except DefaultCredentialsError:
        raise SettingsError(
            "there are no Google credentials: run `gcloud auth application-default login`, or set "
            "GOOGLE_APPLICATION_CREDENTIALS."
        ) from None


def bigquery_client(project: str, location: str) -> "Client":
    """A client of BigQuery. `BIGQUERY_EMULATOR_HOST` is Google's own variable. Raises SettingsError."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.bigquery import Client

    credentials = AnonymousCredentials() if "BIGQUERY_EMULATOR_HOST" in os.environ else None
    return connected(lambda: Client(project, credentials, location=location))


def bigquery_refusals(refuses: str) -> AbstractContextManager[None]:
    """`refusals` of BigQuery, which `refuses` says of it."""
    return refusals("BigQuery", refuses, "LAKE_GCP_PROJECT, LAKE_GCP_LOCATION and the rights of the Google credentials")
