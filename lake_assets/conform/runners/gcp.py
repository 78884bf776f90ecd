"""Shared parts of the two Dataproc runners: names that exist already, labels, readable errors."""

import re
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager

from lake_assets import gcp

_REMEDY = "LAKE_DATAPROC_CLUSTER and the other LAKE_DATAPROC_ settings, and the rights of the Google credentials"


def refusals() -> AbstractContextManager[None]:
    """Raise Unavailable for an error that may pass by itself, LakeError for the others."""
    return gcp.refusals("Dataproc", "refuses the Spark job", _REMEDY)


@contextmanager
def once() -> Generator[None]:
    """Ignore that a job or cluster exists: its name is the job's alone, so an earlier try has created it."""
    from google.api_core.exceptions import AlreadyExists

    try:
        yield
    except AlreadyExists:
        return


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags as labels; a value has at most 63 characters, of a to z, 0 to 9, _ and -."""
    return {key: re.sub("[^a-z0-9_-]", "-", value.lower())[:63] for key, value in tags.items()}
