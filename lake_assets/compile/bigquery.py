"""Staging and quarantine in the words of BigQuery's REST API: tables, what a changed contract changes, loads, queries.

Every column may be null: conform's Parquet says so of every column, and BigQuery refuses a file that says otherwise
than the schema. What is required, conform has judged.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lake_assets.catalog.model import Asset, WindowSize
from lake_assets.catalog.windows import window_path, window_start
from lake_assets.compile.ddl import ERRORS_TYPE, QUARANTINE, Column, staging_columns
from lake_assets.errors import SettingsError

# A table, a dataset or a column as the API tells it.
Described = Mapping[str, Any]
WINDOW = "_window"
_TYPES = {
    "varchar": "STRING",
    "boolean": "BOOLEAN",
    "integer": "INTEGER",
    "bigint": "INTEGER",
    "double": "FLOAT",
    "date": "DATE",
    "timestamp with time zone": "TIMESTAMP",
    "blob": "BYTES",
}
_DECIMAL = re.compile(r"decimal\((\d+), (\d+)\)")
_ERROR_PARTS = ("code", "field", "value", "message")
# Columns of quarantine that may hold what a classified field holds.
_AS_IT_CAME = ("key", "payload")
_NOT_CLUSTERED = ("FLOAT", "BYTES", "RECORD")
_MOST_CLUSTERED = 4
_COLUMN_DESCRIPTION_LENGTH, _TABLE_DESCRIPTION_LENGTH = 1_024, 16_384
# Rows that one statement names by their offsets: its text may have 1 MB.
_NAMED = 20_000
# SQL's names of types that the API names otherwise.
_SQL_TYPES = {"BOOLEAN": "BOOL", "INTEGER": "INT64", "FLOAT": "FLOAT64"}
# IAM's kinds of members in the words of a dataset's access list.
_ENTRIES = {"group": "groupByEmail", "user": "userByEmail", "serviceAccount": "userByEmail"}
# Whoever has a role in the project; a new dataset is open to them.
_EVERYBODY = ("projectReaders", "projectWriters")


@dataclass(frozen=True, slots=True)
class BigQueryTable:
    """A table as the contract wants it, partitioned by `_window`; `fields` are its columns."""

    dataset: str
    name: str
    description: str
    fields: tuple[Described, ...]
    clustering: tuple[str, ...]
    window: WindowSize

    @property
    def title(self) -> str:
        return f"{self.dataset}.{self.name}"

    @property
    def sql(self) -> str:
        return f"`{self.dataset}`.`{self.name}`"

    def partition(self, window: str) -> str:
        """The id that stands for one window's partition alone."""
        digits = "".join(filter(str.isdigit, window_start(window, self.window).isoformat()))
        return f"{self.name}${digits[: {'month': 6, 'day': 8, 'hour': 10}[self.window]]}"


def bigquery_tables(asset: Asset, policy_tags: Mapping[str, str]) -> tuple[BigQueryTable, BigQueryTable]:
    """Staging and quarantine. `policy_tags` are the tags' resource names by a field's classification.

    What came unreadable may hold every field, so in quarantine it bears the first of `policy_tags` that a field has.
    """
    classes = {field.name: field.classification or "" for field in asset.fields}
    tags = {name: policy_tags[found] for name, found in classes.items() if found in policy_tags}
    staging = tuple(_field(column, tags.get(column.name)) for column in staging_columns(asset))
    first = next((tag for tag in policy_tags.values() if tag in tags.values()), None)
    quarantine = tuple(_field(c, first if c.name in _AS_IT_CAME else None, first) for c in QUARANTINE)
    types = {field["name"]: field["type"] for field in staging}
    clustering = tuple(name for name in asset.key if types[name] not in _NOT_CLUSTERED)[:_MOST_CLUSTERED]
    told = f"Rows of {asset.name} that broke a rule of its contract, with the reasons."
    place, description = asset.staging_schema, asset.description[:_TABLE_DESCRIPTION_LENGTH]
    return (
        BigQueryTable(place, asset.name, description, staging, clustering, asset.window),
        BigQueryTable(place, asset.quarantine_table, told, quarantine, (), asset.window),
    )


def _field(column: Column, tag: str | None, tag_of_value: str | None = None) -> Described:
    field: dict[str, Any] = {"name": column.name, "mode": "NULLABLE"}
    if column.type == ERRORS_TYPE:
        field |= {"type": "RECORD", "mode": "REPEATED", "fields": [_part(name, tag_of_value) for name in _ERROR_PARTS]}
    elif decimal := _DECIMAL.fullmatch(column.type):
        precision, scale = int(decimal[1]), int(decimal[2])
        # NUMERIC has 29 digits before the point and 9 behind it; BIGNUMERIC holds every decimal of a contract.
        field["type"] = "NUMERIC" if scale <= 9 and precision - scale <= 29 else "BIGNUMERIC"
        field |= {"precision": str(precision)} | ({"scale": str(scale)} if scale else {})
    else:
        field["type"] = _TYPES[column.type]
    return _with(field, column.description[:_COLUMN_DESCRIPTION_LENGTH], tag)


def _part(name: str, tag: str | None) -> Described:
    return _with({"name": name, "type": "STRING", "mode": "NULLABLE"}, "", tag if name == "value" else None)


def _with(field: Described, description: str, tag: str | None) -> Described:
    told = {"description": description} if description else {}
    tagged = {"policyTags": {"names": [tag]}} if tag else {}
    return {**field, **told, **tagged}


def table_resource(table: BigQueryTable, project: str) -> dict[str, Any]:
    """What `tables.insert` takes."""
    return {
        "tableReference": {"projectId": project, "datasetId": table.dataset, "tableId": table.name},
        "description": table.description,
        "schema": {"fields": list(table.fields)},
        "timePartitioning": {"type": table.window.upper(), "field": WINDOW},
        **({"clustering": {"fields": list(table.clustering)}} if table.clustering else {}),
    }


def dataset_resource(asset: Asset, project: str, location: str) -> dict[str, Any]:
    """What `datasets.insert` takes."""
    return {
        "datasetReference": {"projectId": project, "datasetId": asset.staging_schema},
        "location": location,
        "description": f"Staging and quarantine of {asset.dataset}. Private to the lake: analysts read marts.",
    }


def mart_dataset(schema: str, project: str, location: str) -> dict[str, Any]:
    """What `datasets.insert` takes for a schema of marts."""
    return {
        "datasetReference": {"projectId": project, "datasetId": schema},
        "location": location,
        "description": "Data marts, made by dbt: what analysts read.",
    }


def mart_access(access: Sequence[Described], analysts: Sequence[str]) -> list[dict[str, Any]]:
    """A mart dataset's access list: closed to the project's other members, open for reading to the analysts.

    Analysts are written as in IAM, `group:`, `user:` or `serviceAccount:` and an address. Raises SettingsError.
    """
    entries = [dict(entry) for entry in closed(access)]
    for analyst in analysts:
        kind, _, address = analyst.partition(":")
        if kind not in _ENTRIES or "@" not in address:
            raise SettingsError(
                f"LAKE_ANALYSTS has '{analyst}': on gcp write group:, user: or serviceAccount: and an e-mail address."
            )
        entry = {"role": "READER", _ENTRIES[kind]: address}
        if entry not in entries:
            entries.append(entry)
    return entries


def closed(access: Sequence[Described]) -> list[Described]:
    """A dataset's access list without the project's readers and writers, whom BigQuery lets in by itself."""
    return [entry for entry in access if entry.get("specialGroup") not in _EVERYBODY]


def dataset_differences(existing: Described | None, asset: Asset) -> list[str]:
    """One sentence when the dataset is not there, or is open to whoever has a role in the project."""
    if existing is None:
        return [f"create dataset {asset.staging_schema}"]
    access = existing.get("access", [])
    return [] if closed(access) == access else [f"close dataset {asset.staging_schema} to the project's other members"]


def differences(existing: Described | None, table: BigQueryTable) -> list[str]:
    """One sentence for each thing that the table lacks or says otherwise than the contract."""
    if existing is None:
        return [f"create table {table.title}"]
    found = {field["name"]: field for field in _fields(existing)}
    sentences: list[str] = []
    for field in table.fields:
        name = field["name"]
        if name not in found:
            sentences.append(f"add column {table.title}.{name} {_type(field)}")
        elif _type(found[name]) != _type(field):
            sentences.append(f"widen column {table.title}.{name} to {_type(field)}")
        elif _told(found[name]) != _told(field):
            sentences.append(f"describe column {table.title}.{name}")
    if existing.get("description", "") != table.description:
        sentences.append(f"describe table {table.title}")
    return sentences


def widenings(existing: Described, table: BigQueryTable) -> list[str]:
    """Statements for the columns whose type grows, which the API changes by SQL only."""
    found = {field["name"]: field for field in _fields(existing)}
    return [
        f"alter table {table.sql} alter column `{field['name']}` set data type {_type(field)}"
        for field in table.fields
        if field["name"] in found and _type(found[field["name"]]) != _type(field)
    ]


def merged_fields(existing: Described, table: BigQueryTable) -> list[dict[str, Any]]:
    """The contract's columns in the order of the table's, new ones last, and those that only the table has."""
    wanted = {field["name"]: dict(field) for field in table.fields}
    return [*(wanted.pop(field["name"], dict(field)) for field in _fields(existing)), *wanted.values()]


def _fields(existing: Described) -> Sequence[Described]:
    return existing.get("schema", {}).get("fields", ())


def _type(field: Described) -> str:
    if "precision" not in field:
        return field["type"]
    return f"{field['type']}({', '.join(field[part] for part in ('precision', 'scale') if part in field)})"


def _told(field: Described) -> object:
    parts = [_told(part) for part in field.get("fields", ())]
    return field.get("description", ""), field.get("policyTags", {}).get("names", []), parts


def load_configuration(existing: Described, table: BigQueryTable) -> dict[str, Any]:
    """How Parquet files are loaded into one partition in place of what is there.

    The whole schema is given, because overwriting would else leave columns, descriptions and policy tags to the file;
    partitions and clustering are the table's own, because a load that says nothing of them can be refused.
    """
    return {
        "sourceFormat": "PARQUET",
        "writeDisposition": "WRITE_TRUNCATE",
        "createDisposition": "CREATE_NEVER",
        "autodetect": False,
        "schema": {"fields": merged_fields(existing, table)},
        **{part: existing[part] for part in ("timePartitioning", "clustering") if part in existing},
        # The smallest of them that holds a file's decimal, which is how the columns' types were chosen.
        "decimalTargetTypes": ["NUMERIC", "BIGNUMERIC"],
        "parquetOptions": {"enableListInference": True},
    }


def load_name(table: BigQueryTable, window: str, files: Sequence[str]) -> str:
    """What tells this load from all others: the same for the same files into the same window."""
    digest = hashlib.sha256("\n".join(files).encode()).hexdigest()[:20]
    return f"lake-{table.dataset}-{table.name}-{window_path(window)}-{digest}"


def emptied(table: BigQueryTable, windows: Sequence[str]) -> str:
    """Deletes whole partitions, which reads nothing."""
    return f"delete from {table.sql} where {_in(table, windows)}"


def rows_of(table: BigQueryTable, windows: Sequence[str], columns: Sequence[str]) -> str:
    """These columns of all rows of these windows."""
    listed = ", ".join(f"`{column}`" for column in columns)
    return f"select {listed} from {table.sql} where {_in(table, windows) if windows else 'false'}"


def rows_by_window(tables: Sequence[BigQueryTable], windows: Sequence[str] | None) -> str:
    """For each table, by its place in `tables`, and each window: how many rows. Only named partitions are read."""
    return "\nunion all\n".join(
        f"select {place} as place, {WINDOW}, count(*) as row_count from {table.sql}"
        + ("" if windows is None else f" where {_in(table, windows)}")
        + f" group by {WINDOW}"
        for place, table in enumerate(tables)
    )


def rows_by_partition(tables: Sequence[BigQueryTable], windows: Sequence[str]) -> str:
    """For each table, by its place in `tables`, each of these windows and each Kafka partition: how many rows."""
    return "\nunion all\n".join(
        f"select {place} as place, {WINDOW}, {_position(table)[0]}, count(*) as row_count "
        f"from {table.sql} where {_in(table, windows)} group by {WINDOW}, {_position(table)[0]}"
        for place, table in enumerate(tables)
    )


def rows_where(table: BigQueryTable, condition: str) -> str:
    """Window, Kafka partition and offset of the rows that a condition holds for."""
    partition, offset = _position(table)
    return f"select {WINDOW}, {partition}, {offset} from {table.sql} where {condition}"


def removed_where(table: BigQueryTable, condition: str) -> str:
    """Deletes the rows that a condition holds for."""
    return f"delete from {table.sql} where {condition}"


def at_positions(table: BigQueryTable, at: Mapping[str, Collection[tuple[int, int]]]) -> Iterator[str]:
    """Conditions that together hold for the rows with these Kafka partitions and offsets in these windows."""
    partition, offset = _position(table)
    found = [(window, position) for window, positions in sorted(at.items()) for position in sorted(positions)]
    for first in range(0, len(found), _NAMED):
        offsets: dict[str, dict[int, list[str]]] = {}
        for window, (of, one) in found[first : first + _NAMED]:
            offsets.setdefault(window, {}).setdefault(of, []).append(str(one))
        named = " or ".join(
            f"({_in(table, [window])} and {partition} = {of} and {offset} in ({', '.join(listed)}))"
            for window, by_partition in offsets.items()
            for of, listed in by_partition.items()
        )
        # The windows once more by themselves: only what is plain chooses partitions for sure.
        yield f"{_in(table, list(offsets))} and ({named})"


def values_equal(names: Sequence[str]) -> str:
    """A condition: these columns have the values of the query's parameters `v0`, `v1` and so on."""
    return " and ".join(f"`{name}` = @v{number}" for number, name in enumerate(names))


def parameter_types(table: BigQueryTable, names: Sequence[str]) -> list[str]:
    """What SQL calls the types of these columns."""
    types: dict[str, str] = {field["name"]: field["type"] for field in table.fields}
    return [_SQL_TYPES.get(types[name], types[name]) for name in names]


def quarantine_errors(quarantine: BigQueryTable) -> str:
    """What `reasons` wants of the quarantine table, in BigQuery's words."""
    row_id = "concat(cast(`partition` as string), ':', cast(`offset` as string)) as row_id"
    return f"(\n  select {WINDOW}, {row_id}, error\n  from {quarantine.sql}, unnest(errors) as error\n)"


def _position(table: BigQueryTable) -> tuple[str, str]:
    """The columns with Kafka's partition and offset, which quarantine has under other names."""
    is_staging = any(field["name"] == "_kafka_partition" for field in table.fields)
    return ("`_kafka_partition`", "`_offset`") if is_staging else ("`partition`", "`offset`")


def _in(table: BigQueryTable, windows: Sequence[str]) -> str:
    """Literals, because only constants choose partitions. A table has at most 10,000, so the text stays below 1 MB."""
    starts = (f"timestamp '{window_start(window, table.window).isoformat(' ')[:19]}+00'" for window in windows)
    return f"{WINDOW} in ({', '.join(starts)})"
