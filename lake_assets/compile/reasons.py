"""Reasons for quarantined rows, as queries for many assets each in SQL common to DuckDB, BigQuery and Athena."""

from collections.abc import Iterable, Iterator

from lake_assets.catalog.model import Asset
from lake_assets.compile.sql import literal

# Assets of one query: warehouses limit its length (Athena to 256 kB) and its tables (BigQuery to 1,000).
PIECE = 100


def reasons(errors: Iterable[tuple[Asset, str]]) -> Iterator[str]:
    """Yield queries for one row per asset, rule and field: asset, code, field, a message, rows, windows, a sample.

    Each asset comes with the text after `from`, in the warehouse's SQL: its quarantine, with each row's errors one by
    one as `error`. A row that breaks two rules is counted once under each. The results of the queries, one after the
    other, are in the order of the assets' names.
    """
    sources = sorted(errors, key=lambda source: source[0].name)
    for start in range(0, len(sources), PIECE):
        yield _reasons(sources[start : start + PIECE])


def _reasons(errors: Iterable[tuple[Asset, str]]) -> str:
    parts = "\nunion all\n".join(
        f"select {literal(asset.name)} as asset, error.code as code, error.field as field, _window, row_id,\n"
        f"  min(error.message) as message, min(error.value) as sample\n"
        f"from {source}\ngroup by error.code, error.field, _window, row_id"
        for asset, source in errors
    )
    return f"""\
select asset, code, field, min(message), count(*) as row_count, count(distinct _window), min(sample)
from (
{parts}
) as broken
group by asset, code, field
order by asset, row_count desc, code, field"""
