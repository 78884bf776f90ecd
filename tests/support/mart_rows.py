"""Rows for the examples' staging tables, and what the tests of marts share."""

import os
import subprocess
from collections.abc import Callable, Iterable

from lake_assets.catalog.model import Asset
from lake_assets.compile.ddl import create_table, staging_columns
from lake_assets.dbt.manifest import dbt_executable
from lake_assets.settings import Settings
from lake_assets.warehouse.local.connection import connect

LINEAGE = (
    "date_trunc('day', t) as _window, i % 4 as _kafka_partition, i as _offset, t as _event_at, "
    "now() as _loaded_at, '1.0.0' as _contract_version"
)
ROWS = {
    "leads": f"""
        select 'l' || i as lead_id, ['web', 'event', 'phone'][1 + i % 3] as origin, 'DE' as country, true as consent,
          t as created_at, {LINEAGE}
        from (select i, timestamptz '2026-01-01 00:00:00+00' + interval (i * 3) hour as t from range(300) as r (i))
    """,
    "contracts": f"""
        select 'c' || i as contract_id, 'l' || (i * 7) as lead_id, 'team' as product, i * 1.5 as amount,
          ['EUR', 'USD'][1 + i % 2] as currency, 12 as term_months, t as signed_at, {LINEAGE}
        from (select i, timestamptz '2026-02-10 00:00:00+00' + interval (i * 9) hour as t from range(50) as r (i))
    """,
    "sales": f"""
        select 's' || i as order_id, ['north', 'south'][1 + i % 2] as region, 'mug' as product, i % 5 + 1 as quantity,
          i * 0.5 as amount, t as ordered_at, {LINEAGE}
        from (select i, timestamptz '2026-01-01 00:00:00+00' + interval (i * 2) hour as t from range(500) as r (i))
    """,
}
Dbt = Callable[..., subprocess.CompletedProcess[str]]


def call_dbt(lake: Settings, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Call `lake-dbt` for this lake; its stdout and stderr are both in stdout."""
    here = {"LAKE_HOME": str(lake.home), "LAKE_DBT_PROJECT": str(lake.dbt_project)}
    return subprocess.run(
        [dbt_executable(), "--no-use-colors", *args],
        env={**os.environ, **here, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def fill_staging(settings: Settings, assets: Iterable[Asset]) -> None:
    """Create the staging tables with the same rows each time."""
    with connect(settings) as connection:
        for asset in assets:
            table = f"lake.{asset.staging_schema}.{asset.name}"
            connection.execute(f"create schema if not exists lake.{asset.staging_schema}")
            connection.execute(create_table(table, staging_columns(asset)))
            connection.execute(f"delete from {table}")
            connection.execute(f"insert into {table} by name {ROWS[asset.name]}")
