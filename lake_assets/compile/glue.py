"""Staging and quarantine as Glue holds them: external tables over conformed Parquet files, a partition for each window.

A partition's location holds no data but a list of the files that were published, which Athena follows
(`SymlinkTextInputFormat`): what else is in the bucket does not count, and nothing is copied. The partition key is
`_window` itself, so the tables have the columns of every other target, and a filter on `_window` prunes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lake_assets.catalog.model import Asset, WindowSize
from lake_assets.catalog.windows import window_key, window_start
from lake_assets.compile.ddl import ERRORS_TYPE, QUARANTINE, Column, staging_columns

# Glue's own words for a table, a partition, a column.
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
# Not `explain`, which may be told to carry the statement out.
_READING = ("select", "with", "values", "table", "show", "describe", "desc")
_COMMENT_LENGTH, _DESCRIPTION_LENGTH = 255, 2048
# What `GetTable` tells and `UpdateTable` takes; the rest is Glue's.
_KEPT = (
    "Name", "Description", "Owner", "LastAccessTime", "LastAnalyzedTime", "Retention", "StorageDescriptor",
    "PartitionKeys", "ViewOriginalText", "ViewExpandedText", "TableType", "Parameters", "TargetTable",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class GlueTable:
    """A table as the contract wants it; `columns` are without the partition key."""

    database: str
    name: str
    description: str
    columns: tuple[dict[str, str], ...]

    @property
    def title(self) -> str:
        return f"{self.database}.{self.name}"


def glue_tables(asset: Asset) -> tuple[GlueTable, GlueTable]:
    """Staging and quarantine."""
    quarantine = f"Rows of {asset.name} that broke a rule of its contract, with the reasons."
    return (
        GlueTable(asset.staging_schema, asset.name, _described(asset.description), _columns(staging_columns(asset))),
        GlueTable(asset.staging_schema, asset.quarantine_table, quarantine, _columns(QUARANTINE)),
    )


def table_input(table: GlueTable, location: str, files: str) -> dict[str, Any]:
    """What `CreateTable` takes. Lists are below `location`, what they name also below `files`."""
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
    """A partition like its table, whose list of files is the one file below `location`."""
    return {"Values": [value], "StorageDescriptor": {**table["StorageDescriptor"], "Location": location}}


def differences(existing: Described | None, table: GlueTable) -> list[str]:
    """One sentence for each thing that the table lacks or says otherwise than the contract."""
    if existing is None:
        return [f"create table {table.title}"]
    found = _by_name(existing)
    sentences: list[str] = []
    for column in table.columns:
        name, kind = column["Name"], column["Type"]
        if name not in found:
            sentences.append(f"add column {table.title}.{name} {kind}")
        elif found[name]["Type"] != kind:
            sentences.append(f"widen column {table.title}.{name} to {kind}")
        elif found[name].get("Comment", "") != column["Comment"]:
            sentences.append(f"describe column {table.title}.{name}")
    if existing.get("Description", "") != table.description:
        sentences.append(f"describe table {table.title}")
    return sentences


def updated(existing: Described, table: GlueTable) -> dict[str, Any]:
    """What `UpdateTable` takes: the table as it is, with the contract's columns. Nothing is taken away, and new columns
    come last, because an engine that compares a partition's columns by position must find the old ones in place."""
    wanted = {column["Name"]: column for column in table.columns}
    columns = [wanted.pop(column["Name"], dict(column)) for column in existing["StorageDescriptor"]["Columns"]]
    return {
        **{key: existing[key] for key in _KEPT if key in existing},
        "Description": table.description,
        "StorageDescriptor": {**existing["StorageDescriptor"], "Columns": [*columns, *wanted.values()]},
    }


def retyped(existing: Described, table: GlueTable) -> bool:
    """Whether a column changes its type, which Athena then wants of every partition too."""
    found = _by_name(existing)
    return any(found[c["Name"]]["Type"] != c["Type"] for c in table.columns if c["Name"] in found)


def partition_value(window: str, size: WindowSize) -> str:
    """A window as the value of the partition key, UTC."""
    return window_start(window, size).replace(tzinfo=None).isoformat(" ")


def partition_window(value: str, size: WindowSize) -> str:
    """The window of a partition key's value, as Glue or Athena writes it."""
    return window_key(datetime.fromisoformat(value).replace(tzinfo=UTC), size)


def rows_by_window(asset: Asset, values: Sequence[str] | None) -> str:
    """Athena SQL: place (0 staging, 1 quarantine), window and rows; of the partitions with these values, if given."""
    listed = "" if values is None else ", ".join(f"timestamp '{value}'" for value in values)
    only = "" if values is None else f"\nwhere {WINDOW} in ({listed})"
    return "\nunion all\n".join(
        f'select {place} as place, {WINDOW}, count(*) as n\nfrom "{table.database}"."{table.name}"{only}\n'
        f"group by {WINDOW}"
        for place, table in enumerate(glue_tables(asset))
    )


def quarantine_errors(asset: Asset) -> str:
    """What `reasons` wants of the quarantine table, in Athena's words."""
    _, table = glue_tables(asset)
    # Only a subselect gives the columns of an unnested row names of their own.
    return (
        "(\n  select _window, cast(partition as varchar) || ':' || cast(\"offset\" as varchar) as row_id,\n"
        f'    one.code, one.field, one.value, one.message\n  from "{table.database}"."{table.name}"\n'
        "  cross join unnest(errors) as one (code, field, value, message)\n) as error"
    )


def reads_only(query: str) -> bool:
    """Whether a statement of Athena's, which takes one at a time, can change nothing."""
    word = _FIRST_WORD.match(query)
    return word is not None and word[1].lower() in _READING


def _columns(columns: Iterable[Column]) -> tuple[dict[str, str], ...]:
    return tuple(
        {
            "Name": column.name,
            "Type": _TYPES.get(column.type, column.type.replace(" ", "")),
            # Glue takes one line.
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
        # Where Lake Formation governs the bucket, it lets a reader follow the lists to these places only.
        "AdditionalLocations": [files],
        "InputFormat": "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
    }


def _by_name(existing: Described) -> dict[str, Described]:
    return {column["Name"]: column for column in existing["StorageDescriptor"]["Columns"]}
