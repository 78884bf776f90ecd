"""AWS settings: its own environment variables, read in one place, because its client libraries read different ones.

`AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>` name a compatible service elsewhere; credentials are found by the
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
    """Return the region. Raises SettingsError."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise SettingsError(
            "AWS_REGION and AWS_DEFAULT_REGION are not set: set one to the region of the lake's bucket."
        )
    return region


def aws_endpoint(service: str) -> str | None:
    """Return another address than Amazon's for a service such as `s3` or `glue`, or None."""
    return os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or os.environ.get("AWS_ENDPOINT_URL")


def client(service: str, attempts: int = ATTEMPTS) -> Any:
    """Return boto3's client; region, addresses and credentials are AWS's own settings. Raises SettingsError.

    The SDK retries a call that was throttled, met a 5xx or lost its connection, so a poll survives such moments.
    """
    own = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
    return _client(service, attempts, aws_region(), own, os.getpid())


@lru_cache(maxsize=32)
def _client(service: str, attempts: int, region: str, _environment: tuple[tuple[str, str], ...], _process: int) -> Any:
    """Return the client of the same settings. A new one would generate its methods and connect again."""
    import boto3
    from botocore.config import Config

    # An address of one's own has no name for each bucket.
    style = "path" if service == "s3" and aws_endpoint("s3") else "auto"
    config = Config(
        s3={"addressing_style": style},
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=10,
        read_timeout=60,
    )
    return boto3.client(service, region_name=region, config=config)  # pyright: ignore[reportCallIssue, reportArgumentType]


def transient(code: str) -> bool:
    """Return True if an AWS error is temporary."""
    return code.startswith(_BUSY)


@contextmanager
def refusals(service: str, remedy: str) -> Generator[None]:
    """Raise Unavailable for temporary errors, LakeError for others; `remedy` names what to check."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500 or transient(code):
            raise Unavailable(f"{service} is busy, try again later: {error}") from error
        raise LakeError(f"{service} refuses, check {remedy}: {error}") from error
    except HTTPClientError as error:
        raise Unavailable(f"{service} does not answer, try again later: {error}") from error
    except BotoCoreError as error:
        raise LakeError(f"{service} cannot be called, check {remedy}: {error}") from error
