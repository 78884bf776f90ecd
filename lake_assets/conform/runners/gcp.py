"""What the two Dataproc runners share: names that are taken already, labels, errors that a person can read."""

import re
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager

from lake_assets import gcp

_MEND = "LAKE_DATAPROC_CLUSTER and the other LAKE_DATAPROC_ settings, and the rights of the Google credentials"


def refusals() -> AbstractContextManager[None]:
    """Raises Unavailable for what may pass by itself, LakeError for the rest."""
    return gcp.refusals("Dataproc", "refuses the Spark job", _MEND)


@contextmanager
def once() -> Generator[None]:
    """What is there already, under the name that the job alone has, was made by an earlier try."""
    from google.api_core.exceptions import AlreadyExists

    try:
        yield
    except AlreadyExists:
        return


def labels(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags as labels: of a value only a to z, 0 to 9, _ and - are left, and 63 characters."""
    return {key: re.sub("[^a-z0-9_-]", "-", value.lower())[:63] for key, value in tags.items()}
