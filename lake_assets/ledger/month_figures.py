"""Figures of a month for costs: sums over the windows of each asset, for all assets in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import class_row

from lake_assets.catalog.model import Asset
from lake_assets.ledger.ledger import Ledger

# The first seven characters of a window are its month. Late months do not count for earlier ones.
_FIGURES = """\
select
  w.asset,
  coalesce(sum(w.raw_rows) filter (where in_month), 0)::bigint as rows,
  count(*) filter (where in_month) as windows,
  count(distinct left(w."window", 10)) filter (where in_month) as days,
  max(w."window") filter (where in_month) as newest,
  coalesce(sum(w.seconds) filter (where in_month and w.engine = 'spark'), 0) as spark_seconds,
  coalesce(sum(w.raw_bytes) filter (where not raw_is_removed), 0)::bigint as raw_bytes,
  coalesce(sum(w.good + w.quarantined) filter (where not staging_is_removed), 0)::bigint as staging_rows,
  coalesce(sum(w.raw_bytes) filter (where not staging_is_removed), 0)::bigint as staging_raw_bytes
from unnest(%(assets)s::text[], %(datasets)s::text[]) as named (asset, dataset)
join ledger.window as w on w.asset = named.asset
cross join lateral (
  select
    left(w."window", 7) = %(month)s as in_month,
    exists (
      select from ledger.removal as r
      where r.dataset = named.dataset and r."window" = w."window" and r.removed_at is not null
    ) as raw_is_removed,
    exists (
      select from ledger.removal as r where r.asset = named.asset and r."window" = w."window"
        and r.element = 'staging' and r.removed_at is not null
    ) as staging_is_removed
) as state
where left(w."window", 7) <= %(month)s
group by w.asset order by w.asset
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
