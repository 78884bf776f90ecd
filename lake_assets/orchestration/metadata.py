"""Metadata of assets and materializations, for operators."""

from collections.abc import Mapping
from functools import lru_cache

import dagster as dg
from dagster import MetadataValue

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.compile.ddl import Column, duckdb_type
from lake_assets.ledger.ledger import Landed

Metadata = Mapping[str, MetadataValue]


def window_metadata(output: WindowOutput, held_back: bool) -> dict[str, MetadataValue]:
    """Return the numbers of one window, as Dagster plots them."""
    offsets = {f"{p.topic}[{p.partition}]": f"{p.min_offset}..{p.max_offset}" for p in output.partitions}
    return {
        "rows_in": MetadataValue.int(output.raw_rows),
        "dagster/partition_row_count": MetadataValue.int(output.good),
        "good": MetadataValue.int(output.good),
        "quarantined": MetadataValue.int(output.quarantined),
        "duplicates": MetadataValue.int(output.duplicates),
        "conflicting_duplicates": MetadataValue.int(output.conflicts),
        "bytes": MetadataValue.int(output.bytes),
        "offsets": MetadataValue.json(offsets),
        "unknown_fields": MetadataValue.json({f"{u.name} ({u.type})": u.rows for u in output.unknown}),
        "held_back": MetadataValue.bool(held_back),
    }


def landed_metadata(landed: Landed) -> dict[str, MetadataValue]:
    """Return the numbers of the rows that a snapshot added to a raw window."""
    return {
        "rows_added": MetadataValue.int(landed.rows),
        "bytes_added": MetadataValue.int(landed.bytes),
        "files_added": MetadataValue.int(landed.files),
        "offsets": MetadataValue.text(f"{landed.min_offset}..{landed.max_offset}"),
        "sequence": MetadataValue.int(landed.sequence),
    }


@lru_cache(maxsize=1024)
def column_schema(columns: tuple[Column, ...], required: tuple[str, ...] = ()) -> MetadataValue:
    """Return a table schema as Dagster shows it."""
    return MetadataValue.table_schema(
        dg.TableSchema(
            columns=[
                dg.TableColumn(
                    column.name,
                    column.type,
                    column.description or None,
                    constraints=dg.TableColumnConstraints(nullable=column.name not in required),
                )
                for column in columns
            ]
        )
    )


def contract_columns(asset: Asset) -> tuple[Column, ...]:
    """Return the declared fields, as columns."""
    return tuple(Column(f.name, duckdb_type(f.type), f.description) for f in asset.fields)
