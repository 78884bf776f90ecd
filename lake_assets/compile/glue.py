"""Staging and quarantine in Glue: external tables over conformed Parquet files, one partition per window.

A partition's location holds no data but a list of the published files, which Athena follows (`SymlinkTextInputFormat`).
Other files in the bucket do not count, and no file is copied. The partition key is `_window` itself, so the tables have
the columns of every other target, and a filter on `_window` prunes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lake_assets.catalog.model import Asset, WindowSize
from lake_assets.catalog.windows import window_key, window_start
from lake_assets.compile.ddl import ERRORS_TYPE, QUARANTINE, Column, staging_columns

# A table, a partition or a column as Glue's API has it.
Described = Mapping[str, Any]
WINDOW = "_window"
_TYPES = {
    "varchar": "string",
    "integer": "int",
    "timestamp with time zone": "timestamp",
    "blob": "binary",
    ERRORS_TYPE: "array<struct<code:string,field:string,value:string,message:string>>",
}
_FIRST_WORD = re.compile(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*([a-z]+)", re.IGNORECASE | re.DOTALL)
# Not `explain`, which can execute the statement.
_READING = ("select", "with", "values", "table", "show", "describe", "desc")
_COMMENT_LENGTH, _DESCRIPTION_LENGTH = 255, 2048
# Keys that `GetTable` returns and `UpdateTable` accepts; the others are read-only.
_UPDATABLE = (
    "Name", "Description", "Owner", "LastAccessTime", "LastAnalyzedTime", "Retention", "StorageDescriptor",
    "PartitionKeys", "ViewOriginalText", "ViewExpandedText", "TableType", "Parameters", "TargetTable",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GlueTable:
    """A table as the contract declares it; `columns` are without the partition key."""

    database: str
    name: str
    description: str
    columns: tuple[dict[str, str], ...]

    @property
    def title(self) -> str:
        return f"{self.database}.{self.name}"


def glue_tables(asset: Asset) -> tuple[GlueTable, GlueTable]:
    """Return staging and quarantine."""
    quarantine = f"Rows of {asset.name} that broke a rule of its contract, with the reasons."
    return (
        GlueTable(asset.staging_schema, asset.name, _described(asset.description), _columns(staging_columns(asset))),
        GlueTable(asset.staging_schema, asset.quarantine_table, quarantine, _columns(QUARANTINE)),
    )


def table_input(table: GlueTable, location: str, files: str) -> dict[str, Any]:
    """Return the body of `CreateTable`. Lists are below `location`, the files they name also below `files`."""
    return {
        "Name": table.name,
        "Description": table.description,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "classification": "parquet"},
        "PartitionKeys": [
            {"Name": WINDOW, "Type": "timestamp", "Comment": "Start of the window the row belongs to, UTC."}
        ],
        "StorageDescriptor": _storage(table.columns, location, files),
    }


def partition_input(table: Described, value: str, location: str) -> dict[str, Any]:
    """Return a partition like its table; its list of files is the one file below `location`."""
    return {"Values": [value], "StorageDescriptor": {**table["StorageDescriptor"], "Location": location}}


def differences(existing: Described | None, table: GlueTable) -> list[str]:
    """Return one sentence for each difference between the table and the contract."""
    if existing is None:
        return [f"create table {table.title}"]
    existing_columns = _by_name(existing)
    sentences: list[str] = []
    for column in table.columns:
        name, kind = column["Name"], column["Type"]
        if name not in existing_columns:
            sentences.append(f"add column {table.title}.{name} {kind}")
        elif existing_columns[name]["Type"] != kind:
            sentences.append(f"widen column {table.title}.{name} to {kind}")
        elif existing_columns[name].get("Comment", "") != column["Comment"]:
            sentences.append(f"describe column {table.title}.{name}")
    if existing.get("Description", "") != table.description:
        sentences.append(f"describe table {table.title}")
    return sentences


def updated(existing: Described, table: GlueTable) -> dict[str, Any]:
    """Return the body of `UpdateTable`: the existing table with the contract's columns.

    No column is removed, and new columns come last: an engine that compares a partition's columns by position must find
    the old ones in place.
    """
    declared = {column["Name"]: column for column in table.columns}
    columns = [declared.pop(column["Name"], dict(column)) for column in existing["StorageDescriptor"]["Columns"]]
    return {
        **{key: existing[key] for key in _UPDATABLE if key in existing},
        "Description": table.description,
        "StorageDescriptor": {**existing["StorageDescriptor"], "Columns": [*columns, *declared.values()]},
    }


def retyped(existing: Described, table: GlueTable) -> bool:
    """Return True if a column changes its type, which Athena then requires of every partition too."""
    existing_columns = _by_name(existing)
    return any(existing_columns[c["Name"]]["Type"] != c["Type"] for c in table.columns if c["Name"] in existing_columns)


def partition_value(window: str, size: WindowSize) -> str:
    """Return a window as the value of the partition key, UTC."""
    return window_start(window, size).replace(tzinfo=None).isoformat(" ")


def partition_window(value: str, size: WindowSize) -> str:
    """Return the window of a partition key's value, in the format of Glue or Athena."""
    return window_key(datetime.fromisoformat(value).replace(tzinfo=UTC), size)


def rows_by_window(asset: Asset, values: Sequence[str] | None) -> str:
    """Return Athena SQL: place (0 staging, 1 quarantine), window and rows; if given, only of these partitions."""
    listed = "" if values is None else ", ".join(f"timestamp '{value}'" for value in values)
    condition = "" if values is None else f"\nwhere {WINDOW} in ({listed})"
    return "\nunion all\n".join(
        f'select {index} as place, {WINDOW}, count(*) as n\nfrom "{table.database}"."{table.name}"{condition}\n'
        f"group by {WINDOW}"
        for index, table in enumerate(glue_tables(asset))
    )


def quarantine_errors(asset: Asset) -> str:
    """Return the quarantine table as `reasons` reads it, in Athena's SQL."""
    _, table = glue_tables(asset)
    # Only a subselect can name the columns of an unnested row.
    return (
        "(\n  select _window, cast(partition as varchar) || ':' || cast(\"offset\" as varchar) as row_id,\n"
        f'    one.code, one.field, one.value, one.message\n  from "{table.database}"."{table.name}"\n'
        "  cross join unnest(errors) as one (code, field, value, message)\n) as error"
    )


def reads_only(query: str) -> bool:
    """Return True if an Athena statement (one at a time) cannot change anything."""
    word = _FIRST_WORD.match(query)
    return word is not None and word[1].lower() in _READING


def _columns(columns: Iterable[Column]) -> tuple[dict[str, str], ...]:
    return tuple(
        {
            "Name": column.name,
            "Type": _TYPES.get(column.type, column.type.replace(" ", "")),
            # Glue accepts one line.
            "Comment": " ".join(column.description.split())[:_COMMENT_LENGTH],
        }
        for column in columns
        if column.name != WINDOW
    )


def _described(text: str) -> str:
    return " ".join(text.split())[:_DESCRIPTION_LENGTH]


def _storage(columns: Iterable[Described], location: str, files: str) -> dict[str, Any]:
    return {
        "Columns": [dict(column) for column in columns],
        "Location": location,
        # Where Lake Formation governs the bucket, a reader can follow the lists to these places only.
        "AdditionalLocations": [files],
        "InputFormat": "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
    }


def _by_name(existing: Described) -> dict[str, Described]:
    return {column["Name"]: column for column in existing["StorageDescriptor"]["Columns"]}
