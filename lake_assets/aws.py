"""Where AWS is: its own environment variables, read in one way, because its client libraries differ in which they read.

`AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>` name another place that speaks like it; credentials are found by the
libraries themselves.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from lake_assets.errors import LakeError, SettingsError, Unavailable

ATTEMPTS = 8
_BUSY = (
    "Throttl", "TooManyRequests", "RequestLimitExceeded", "ServiceUnavailable", "Internal", "OperationTimeout",
    "ConcurrentModification",
)  # fmt: skip


def aws_region() -> str:
    """The region. Raises SettingsError."""
    found = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not found:
        raise SettingsError(
            "AWS_REGION and AWS_DEFAULT_REGION are not set: set one to the region of the lake's bucket."
        )
    return found


def aws_endpoint(service: str) -> str | None:
    """Another address than Amazon's for a service such as `s3` or `glue`, or None."""
    return os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")


def client(service: str, attempts: int = ATTEMPTS) -> Any:
    """boto3's client; region, addresses and credentials are AWS's own settings. Raises SettingsError.

    The SDK repeats a call that was throttled, met a 5xx or lost its connection, so a poll survives such moments.
    """
    own = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
    return _client(service, attempts, aws_region(), own, os.getpid())


@lru_cache(maxsize=32)
def _client(service: str, attempts: int, region: str, _environment: tuple[tuple[str, str], ...], _process: int) -> Any:
    """The one that was made for the same settings: boto3 would write all its methods anew, and connect anew."""
    import boto3
    from botocore.config import Config

    config = Config(retries={"mode": "standard", "total_max_attempts": attempts}, connect_timeout=10, read_timeout=60)
    return boto3.client(service, region_name=region, config=config)  # pyright: ignore[reportCallIssue, reportArgumentType]


def transient(code: str) -> bool:
    """Whether an error of AWS may pass by itself."""
    return code.startswith(_BUSY)


@contextmanager
def refusals(place: str, mend: str) -> Generator[None]:
    """Raises Unavailable for what may pass by itself, LakeError for the rest; `mend` says what to look at then."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500 or transient(code):
            raise Unavailable(f"{place} is busy, try again later: {error}") from error
        raise LakeError(f"{place} refuses, check {mend}: {error}") from error
    except HTTPClientError as error:
        raise Unavailable(f"{place} does not answer, try again later: {error}") from error
    except BotoCoreError as error:
        raise LakeError(f"{place} cannot be asked, check {mend}: {error}") from error
