"""Reasons for quarantined rows, as one query for many assets in SQL common to DuckDB, BigQuery and Athena."""

from collections.abc import Iterable

from lake_assets.catalog.model import Asset
from lake_assets.compile.sql import literal


def reasons(errors: Iterable[tuple[Asset, str]]) -> str:
    """Select one row per asset, rule and field: asset, code, field, a message, rows, windows, a sample value.

    Each asset comes with the text after `from`, in the warehouse's SQL: its quarantine, with each row's errors one by
    one as `error`. A row that breaks two rules is counted once under each.
    """
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
