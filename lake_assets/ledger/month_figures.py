"""Figures of a month for costs: sums over the windows of each asset, for all assets in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import class_row

from lake_assets.catalog.model import Asset
from lake_assets.ledger.ledger import Ledger

# The first seven characters of a window are its month. Late months do not count for earlier ones.
_FIGURES = """\
with marked as (
  select
    w.*,
    left(w."window", 7) = %(month)s as in_month,
    raw."window" is not null as raw_is_removed,
    staging."window" is not null as staging_is_removed
  from unnest(%(assets)s::text[], %(datasets)s::text[]) as named (asset, dataset)
  join ledger.window as w on w.asset = named.asset
  left join (
    select distinct dataset, "window" from ledger.removal where element = 'raw' and removed_at is not null
  ) as raw on raw.dataset = named.dataset and raw."window" = w."window"
  left join (
    select distinct asset, "window" from ledger.removal where element = 'staging' and removed_at is not null
  ) as staging on staging.asset = named.asset and staging."window" = w."window"
  where left(w."window", 7) <= %(month)s
)
select
  asset,
  coalesce(sum(raw_rows) filter (where in_month), 0)::bigint as rows,
  count(*) filter (where in_month) as windows,
  count(distinct left("window", 10)) filter (where in_month) as days,
  max("window") filter (where in_month) as newest,
  coalesce(sum(seconds) filter (where in_month and engine = 'spark'), 0) as spark_seconds,
  coalesce(sum(raw_bytes) filter (where not raw_is_removed), 0)::bigint as raw_bytes,
  coalesce(sum(good + quarantined) filter (where not staging_is_removed), 0)::bigint as staging_rows,
  coalesce(sum(raw_bytes) filter (where not staging_is_removed), 0)::bigint as staging_raw_bytes
from marked group by asset order by asset
"""


@dataclass(frozen=True, slots=True)
class MonthFigures:
    """Sums over the windows of an asset in a month, and over what is stored of it and of earlier ones.

    `rows` are raw rows; the `windows` of the month, of which `newest` is the last, are on so many `days`.
    `spark_seconds` is the time of their last conform, where Spark did it. `staging_rows` include quarantined ones;
    they are made of `staging_raw_bytes`.
    """

    asset: str
    rows: int
    windows: int
    days: int
    newest: str | None
    spark_seconds: float
    raw_bytes: int
    staging_rows: int
    staging_raw_bytes: int


def month_figures(ledger: Ledger, assets: Sequence[Asset], month: str) -> list[MonthFigures]:
    """Return the figures of the assets that have published windows in the month (2026-11) or before, by name."""
    names = {"assets": [asset.name for asset in assets], "datasets": [asset.dataset for asset in assets]}
    with ledger.connection.cursor(row_factory=class_row(MonthFigures)) as cursor:
        return cursor.execute(_FIGURES, {**names, "month": month}).fetchall()


def published_months(ledger: Ledger, assets: Sequence[Asset]) -> tuple[str, str] | None:
    """Return the first and the last month that have a published window of these assets; None if none has."""
    row = ledger.connection.execute(
        'select min(left("window", 7)), max(left("window", 7)) from ledger.window where asset = any(%s)',
        ([asset.name for asset in assets],),
    ).fetchone()
    return (row[0], row[1]) if row and row[0] else None
