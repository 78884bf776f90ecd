"""Spark's view of one contract: schemas, since it never infers one, and the placement of possible duplicates."""

from collections.abc import Mapping

from lake_assets.catalog.model import Asset, FieldType
from lake_assets.catalog.windows import window_start
from lake_assets.compile.ddl import Column, staging_columns
from lake_assets.compile.judge import judge_sql
from lake_assets.compile.sql import judged_column, literal

# The raw table's columns, for every asset.
RAW_SCHEMA = (
    "payload binary, _key binary, _topic string, _partition int, _offset bigint, _timestamp timestamp"
)  # fmt: skip
BUCKET = "_bucket"

_LINEAGE = {
    "varchar": "string",
    "integer": "int",
    "bigint": "bigint",
    "timestamp with time zone": "timestamp",
}
_SPARK_TYPES = {"integer": "bigint", "json": "string"}


def spark_type(kind: FieldType) -> str:
    """Return Spark's name for a field type."""
    return str(kind) if kind.name == "decimal" else _SPARK_TYPES.get(kind.name, kind.name)


def good_schema(asset: Asset) -> str:
    """Return the staging table's columns as Spark's DDL. All are nullable, as Spark reads Parquet anyway."""
    declared = [f"{_quoted(field.name)} {spark_type(field.type)}" for field in asset.fields]
    lineage = [f"{_quoted(c.name)} {_LINEAGE[c.type]}" for c in lineage_columns(asset)]
    return ", ".join(declared + lineage)


def lineage_columns(asset: Asset) -> tuple[Column, ...]:
    """Return the staging table's columns that no contract declares."""
    return staging_columns(asset)[len(asset.fields) :]


def judged_schema(asset: Asset) -> str:
    """Return the columns of `spread_sql` as Spark's DDL.

    All are nullable: with a non-null `_errors`, Spark's optimiser would drop every good row.
    """
    declared = [f"{_quoted(judged_column(field.name)[1:-1])} {spark_type(field.type)}" for field in asset.fields]
    return ", ".join(
        [
            *declared,
            "_window timestamp, _event_at timestamp, _topic string, _partition int, _offset bigint",
            "_key binary, _payload binary, _extra string",
            "_errors array<struct<code: string, field: string, value: string, message: string>>",
            f"{BUCKET} int",
        ]
    )


def spread_sql(asset: Asset, source: str, buckets: Mapping[str, int]) -> str:
    """Return the judge's SELECT with one more column, `_bucket`: possible duplicates share a bucket.

    `buckets` is the number of buckets of each window. Good rows are placed by the contract's key, bad ones by their
    offset. A record that was delivered twice has the same payload, and so the same bucket, both times. The hash is
    DuckDB's, so its equality is DuckDB's.
    """
    offset = "hash(_partition, _offset)"
    key = f"hash({', '.join(map(judged_column, asset.key))})" if asset.key else offset
    split_windows = {window: count for window, count in buckets.items() if count > 1}
    if not split_windows:
        bucket = "0"
    else:
        cases = " ".join(
            f"when _window = timestamptz {literal(window_start(window, asset.window).isoformat())} then {count}"
            for window, count in split_windows.items()
        )
        bucket = f"cast(case when _errors is null then {key} else {offset} end % (case {cases} else 1 end) as integer)"
    return f"select *, {bucket} as {BUCKET} from (\n{judge_sql(asset, source)}\n)"


def _quoted(name: str) -> str:
    return f"`{name}`"
