"""`lake quarantine`: why rows are in quarantine, grouped so that a person can act on it."""

from collections.abc import Sequence
from dataclasses import dataclass

from lake_assets.catalog.model import Asset
from lake_assets.compile.sql import identifier
from lake_assets.settings import Settings
from lake_assets.warehouse.connection import connect


@dataclass(frozen=True, slots=True)
class Reason:
    """Rows of one asset that broke one rule of one field. `sample` is one offending value, at most 200 characters."""

    asset: str
    code: str
    field: str | None
    message: str
    rows: int
    windows: int
    sample: str | None


def reasons(settings: Settings, assets: Sequence[Asset]) -> list[Reason]:
    """Every reason, most rows first within each asset. Raises Unavailable when Postgres does not answer."""
    found: list[Reason] = []
    with connect(settings, read_only=True, serving=False) as session:
        for asset in assets:
            table = f"lake.{identifier(asset.staging_schema)}.{identifier(asset.quarantine_table)}"
            rows = session.execute(f"""\
with broken as (
  select _window, partition, "offset", unnest(errors) as error from {table}
)
select
  error.code, error.field, any_value(error.message),
  count(distinct (partition, "offset")), count(distinct _window), min(error.value)
from broken
group by error.code, error.field
order by 4 desc, 1, 2""").fetchall()
            found += [Reason(asset.name, *row) for row in rows]
    return found
