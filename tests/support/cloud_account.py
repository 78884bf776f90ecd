"""A real cloud account in place of the doubles, for `make smoke`.

`LAKE_TARGET` and `LAKE_BUCKET` name it; credentials are the environment's. What the tests make there is removed
again, and an account that has something of these names already is refused, because it may be another lake's.
"""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from pyarrow.fs import FileSelector

from lake_assets.aws import client
from lake_assets.bucket import opened
from lake_assets.gcp import bigquery_client, unless_missing
from lake_assets.settings import PROJECT, Settings, load_settings
from tests.support.cloud_lakes import CloudLake

_AWS = ("AWS_", "LAKE_ATHENA_WORKGROUP", "LAKE_ANALYSTS")
_GCP = ("GOOGLE_", "LAKE_GCP_", "LAKE_ANALYSTS")


@contextmanager
def in_account(local: Settings, at: Path) -> Generator[CloudLake]:
    """A lake in the account of the environment, in a folder of its own of the bucket. Fails when it is not for us."""
    found = load_settings()
    assert found.target != "local", "say LAKE_TARGET=aws or LAKE_TARGET=gcp, and LAKE_BUCKET"
    bucket = f"{found.bucket}/smoke-{uuid4().hex[:8]}"
    names = _names(found)
    there = [name for name in names if _exists(found, name)]
    assert not there, f"{', '.join(there)} is in this account already: take one without a lake"
    passed = _AWS if found.target == "aws" else _GCP
    environment = {name: value for name, value in os.environ.items() if name.startswith(passed)}
    environment |= {"LAKE_TARGET": found.target, "LAKE_BUCKET": bucket}
    try:
        yield CloudLake(replace(local, target=found.target, bucket=bucket, gcp=found.gcp), environment)
    finally:
        for name in names:
            if _exists(found, name):
                _remove(found, name)
        system, path = opened(bucket)
        for file in system.get_file_info(FileSelector(path, recursive=True, allow_not_found=True)):
            if file.is_file:
                system.delete_file(file.path)


def _names(settings: Settings) -> Sequence[str]:
    """The databases or datasets that the example makes; raw ones are in Glue only, and bear the domain's name."""
    assets = ("contracts", "leads", "sales")
    marts = sorted(folder.name for folder in (PROJECT / "dbt_project" / "models" / "marts").iterdir())
    raw = ("crmaccount", "shopaccount") if settings.target == "aws" else ()
    return (*(f"{asset}_staging" for asset in assets), *marts, *raw)


def _exists(settings: Settings, name: str) -> bool:
    if settings.target == "gcp":
        bigquery = bigquery_client(settings.gcp.project, settings.gcp.location)
        return unless_missing(lambda: bigquery.get_dataset(name)) is not None
    glue = client("glue")
    try:
        glue.get_database(Name=name)
    except glue.exceptions.EntityNotFoundException:
        return False
    return True


def _remove(settings: Settings, name: str) -> None:
    if settings.target == "gcp":
        bigquery_client(settings.gcp.project, settings.gcp.location).delete_dataset(name, delete_contents=True)
    else:
        client("glue").delete_database(Name=name)
