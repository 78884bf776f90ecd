"""The examples' staging tables in a cloud's warehouse, with the rows that the local ones have."""

import json
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lake_assets.bucket import written
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.catalog.windows import window_key
from lake_assets.compile.ddl import create_table, staging_columns
from lake_assets.operations.adapters import mart_access_for, warehouse_for
from lake_assets.settings import Gcp, Settings
from lake_assets.warehouse.gcp.permissions import PROJECTS
from lake_assets.warehouse.marts import mart_schemas
from tests.support.buckets import gs, s3
from tests.support.doubles.athena import AthenaDouble
from tests.support.doubles.bigquery import LOCATION, PROJECT, BigQueryDouble
from tests.support.doubles.permissions import cloud
from tests.support.mart_rows import ROWS


@dataclass(frozen=True)
class CloudLake:
    """`environment` is what its commands need; `athena` is the double behind a lake on AWS."""

    settings: Settings
    environment: Mapping[str, str]
    athena: AthenaDouble | None = None


@contextmanager
def variables(environment: Mapping[str, str]) -> Generator[None]:
    """Set environment variables for the duration of the context."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


@contextmanager
def on_aws(local: Settings, at: Path) -> Generator[CloudLake]:
    # The double reads the bucket, and must be let in.
    with s3(at) as bucket, variables(bucket.environment), cloud() as allowing:
        moto = bucket.environment["AWS_ENDPOINT_URL_S3"]
        double = AthenaDouble(moto, at)
        environment = {
            **bucket.environment,
            "AWS_ENDPOINT_URL": moto,
            "AWS_ENDPOINT_URL_GLUE": double.url,
            "AWS_ENDPOINT_URL_ATHENA": double.url,
            "AWS_ENDPOINT_URL_LAKEFORMATION": double.url,
            "AWS_ENDPOINT_URL_IAM": allowing.address,
            "AWS_ENDPOINT_URL_STS": allowing.address,
            "LAKE_TARGET": "aws",
            "LAKE_ATHENA_WORKGROUP": "lake",
            "LAKE_BUCKET": bucket.url,
        }
        try:
            yield CloudLake(
                replace(local, target="aws", bucket=bucket.url, athena_workgroup="lake"), environment, double
            )
        finally:
            double.close()


@contextmanager
def on_gcp(local: Settings, at: Path) -> Generator[CloudLake]:
    # The double reads the bucket, and must know where it is.
    with gs(at) as bucket, variables(bucket.environment), cloud() as allowing:
        double = BigQueryDouble(bucket.url)
        environment = {
            **bucket.environment,
            "BIGQUERY_EMULATOR_HOST": double.url,
            PROJECTS: allowing.address,
            "GOOGLE_APPLICATION_CREDENTIALS": str(_account(at, double.url)),
            "LAKE_TARGET": "gcp",
            "LAKE_BUCKET": bucket.url,
            "LAKE_GCP_PROJECT": PROJECT,
            "LAKE_GCP_LOCATION": LOCATION,
        }
        try:
            yield CloudLake(
                replace(local, target="gcp", bucket=bucket.url, gcp=Gcp(PROJECT, LOCATION, ())), environment
            )
        finally:
            double.close()


def _account(at: Path, address: str) -> Path:
    """The key of a service account, for which the double gives a token; dbt wants to log in."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    path = at / "account.json"
    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": text,
        "client_email": f"lake@{PROJECT}.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{address}/token",
    }
    path.write_text(json.dumps(account), "utf-8")
    return path


CLOUDS = {"aws": on_aws, "gcp": on_gcp}


@contextmanager
def lake_in(name: str, local: Settings, assets: Iterable[Asset], at: Path) -> Generator[CloudLake]:
    """A lake whose staging tables and empty marts are there; its environment is set meanwhile."""
    at.mkdir(parents=True, exist_ok=True)
    with CLOUDS[name](local, at) as lake, variables(lake.environment):
        warehouse = warehouse_for(lake.settings)
        for asset in assets:
            warehouse.ensure(asset)
            warehouse.replace_windows(asset, list(_windows(lake.settings, asset)))
        mart_access_for(lake.settings).ensure(mart_schemas(lake.settings))
        yield lake


def _windows(settings: Settings, asset: Asset) -> Generator[WindowOutput]:
    with duckdb.connect() as session:
        session.execute("set timezone = 'UTC'")
        session.execute(create_table(asset.name, staging_columns(asset)))
        session.execute(f"insert into {asset.name} by name {ROWS[asset.name]}")
        for (start,) in session.execute(f"select distinct _window from {asset.name} order by all").fetchall():
            window = window_key(start, asset.window)
            url = f"{settings.conformed}/{asset.name}/{window}/part-0.parquet"
            with written(url) as path:
                session.execute(f"copy (from {asset.name} where _window = $1) to '{path}' (format parquet)", [start])
            yield WindowOutput(window, 0, (), (url,), (), 0, ())
