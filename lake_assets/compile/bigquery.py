"""Staging and quarantine for BigQuery's REST API: tables, schema changes, load jobs, queries.

Every column is nullable: conform's Parquet declares every column so, and BigQuery refuses a file whose schema differs.
Conform has already checked required fields.
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

# A table, a dataset or a column as the API returns it.
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
# Columns of quarantine that may contain the values of a classified field.
_UNPARSED = ("key", "payload")
_NOT_CLUSTERED = ("FLOAT", "BYTES", "RECORD")
_MOST_CLUSTERED = 4
_COLUMN_DESCRIPTION_LENGTH, _TABLE_DESCRIPTION_LENGTH = 1_024, 16_384
# Rows that one statement lists by their offsets: its text may have 1 MB.
_LISTED_ROWS = 20_000
# SQL's names of the types that have another name in the API.
_SQL_TYPES = {"BOOLEAN": "BOOL", "INTEGER": "INT64", "FLOAT": "FLOAT64"}
# IAM's kinds of members as keys of a dataset's access list.
_ENTRIES = {"group": "groupByEmail", "user": "userByEmail", "serviceAccount": "userByEmail"}
# All members of the project with a role; a new dataset is open to them.
_PROJECT_MEMBERS = ("projectReaders", "projectWriters")


@dataclass(frozen=True, slots=True)
class BigQueryTable:
    """A table as the contract declares it, partitioned by `_window`; `fields` are its columns."""

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
        """Return the id of one window's partition."""
        digits = "".join(filter(str.isdigit, window_start(window, self.window).isoformat()))
        return f"{self.name}${digits[: {'month': 6, 'day': 8, 'hour': 10}[self.window]]}"


def bigquery_tables(asset: Asset, policy_tags: Mapping[str, str]) -> tuple[BigQueryTable, BigQueryTable]:
    """Return staging and quarantine. `policy_tags` are the tags' resource names by a field's classification.

    A payload that could not be parsed may contain every field. In quarantine it therefore has the first of
    `policy_tags` that a field has.
    """
    classes = {field.name: field.classification or "" for field in asset.fields}
    tags = {name: policy_tags[kind] for name, kind in classes.items() if kind in policy_tags}
    staging = tuple(_field(column, tags.get(column.name)) for column in staging_columns(asset))
    first = next((tag for tag in policy_tags.values() if tag in tags.values()), None)
    quarantine = tuple(_field(c, first if c.name in _UNPARSED else None, first) for c in QUARANTINE)
    types = {field["name"]: field["type"] for field in staging}
    clustering = tuple(name for name in asset.key if types[name] not in _NOT_CLUSTERED)[:_MOST_CLUSTERED]
    purpose = f"Rows of {asset.name} that broke a rule of its contract, with the reasons."
    schema, description = asset.staging_schema, asset.description[:_TABLE_DESCRIPTION_LENGTH]
    return (
        BigQueryTable(schema, asset.name, description, staging, clustering, asset.window),
        BigQueryTable(schema, asset.quarantine_table, purpose, quarantine, (), asset.window),
    )


def _field(column: Column, tag: str | None, tag_of_value: str | None = None) -> Described:
    field: dict[str, Any] = {"name": column.name, "mode": "NULLABLE"}
    if column.type == ERRORS_TYPE:
        field |= {"type": "RECORD", "mode": "REPEATED", "fields": [_part(name, tag_of_value) for name in _ERROR_PARTS]}
    elif decimal := _DECIMAL.fullmatch(column.type):
        precision, scale = int(decimal[1]), int(decimal[2])
        # NUMERIC has 29 digits before the point and 9 after it; BIGNUMERIC covers every decimal of a contract.
        field["type"] = "NUMERIC" if scale <= 9 and precision - scale <= 29 else "BIGNUMERIC"
        field |= {"precision": str(precision)} | ({"scale": str(scale)} if scale else {})
    else:
        field["type"] = _TYPES[column.type]
    return _with(field, column.description[:_COLUMN_DESCRIPTION_LENGTH], tag)


def _part(name: str, tag: str | None) -> Described:
    return _with({"name": name, "type": "STRING", "mode": "NULLABLE"}, "", tag if name == "value" else None)


def _with(field: Described, description: str, tag: str | None) -> Described:
    documented = {"description": description} if description else {}
    tagged = {"policyTags": {"names": [tag]}} if tag else {}
    return {**field, **documented, **tagged}


def table_resource(table: BigQueryTable, project: str) -> dict[str, Any]:
    """Return the body of `tables.insert`."""
    return {
        "tableReference": {"projectId": project, "datasetId": table.dataset, "tableId": table.name},
        "description": table.description,
        "schema": {"fields": list(table.fields)},
        "timePartitioning": {"type": table.window.upper(), "field": WINDOW},
        **({"clustering": {"fields": list(table.clustering)}} if table.clustering else {}),
    }


def dataset_resource(asset: Asset, project: str, location: str) -> dict[str, Any]:
    """Return the body of `datasets.insert`."""
    return {
        "datasetReference": {"projectId": project, "datasetId": asset.staging_schema},
        "location": location,
        "description": f"Staging and quarantine of {asset.dataset}. Private to the lake: analysts read marts.",
    }


def mart_dataset(schema: str, project: str, location: str) -> dict[str, Any]:
    """Return the body of `datasets.insert` for a schema of marts."""
    return {
        "datasetReference": {"projectId": project, "datasetId": schema},
        "location": location,
        "description": "Data marts, made by dbt: what analysts read.",
    }


def mart_access(access: Sequence[Described], analysts: Sequence[str]) -> list[dict[str, Any]]:
    """Return a mart dataset's access list: closed to the project's other members, readable by the analysts.

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
    """Return a dataset's access list without the project's readers and writers, whom BigQuery adds by default."""
    return [entry for entry in access if entry.get("specialGroup") not in _PROJECT_MEMBERS]


def dataset_differences(existing: Described | None, asset: Asset) -> list[str]:
    """Return one sentence if the dataset is missing, or is open to all members of the project."""
    if existing is None:
        return [f"create dataset {asset.staging_schema}"]
    access = existing.get("access", [])
    return [] if closed(access) == access else [f"close dataset {asset.staging_schema} to the project's other members"]


def differences(existing: Described | None, table: BigQueryTable) -> list[str]:
    """Return one sentence for each difference between the table and the contract."""
    if existing is None:
        return [f"create table {table.title}"]
    columns = {field["name"]: field for field in _fields(existing)}
    sentences: list[str] = []
    for field in table.fields:
        name = field["name"]
        if name not in columns:
            sentences.append(f"add column {table.title}.{name} {_type(field)}")
        elif _type(columns[name]) != _type(field):
            sentences.append(f"widen column {table.title}.{name} to {_type(field)}")
        elif _documentation(columns[name]) != _documentation(field):
            sentences.append(f"describe column {table.title}.{name}")
    if existing.get("description", "") != table.description:
        sentences.append(f"describe table {table.title}")
    return sentences


def widenings(existing: Described, table: BigQueryTable) -> list[str]:
    """Return statements that widen column types, which is only possible by SQL."""
    columns = {field["name"]: field for field in _fields(existing)}
    return [
        f"alter table {table.sql} alter column `{field['name']}` set data type {_type(field)}"
        for field in table.fields
        if field["name"] in columns and _type(columns[field["name"]]) != _type(field)
    ]


def merged_fields(existing: Described, table: BigQueryTable) -> list[dict[str, Any]]:
    """Return the contract's columns in the table's order, new ones last, and columns that only the table has."""
    declared = {field["name"]: dict(field) for field in table.fields}
    return [*(declared.pop(field["name"], dict(field)) for field in _fields(existing)), *declared.values()]


def _fields(existing: Described) -> Sequence[Described]:
    return existing.get("schema", {}).get("fields", ())


def _type(field: Described) -> str:
    if "precision" not in field:
        return field["type"]
    return f"{field['type']}({', '.join(field[part] for part in ('precision', 'scale') if part in field)})"


def _documentation(field: Described) -> object:
    parts = [_documentation(part) for part in field.get("fields", ())]
    return field.get("description", ""), field.get("policyTags", {}).get("names", []), parts


def load_configuration(existing: Described) -> dict[str, Any]:
    """Return the configuration of a load of Parquet files that replaces one partition of a table.

    It replaces data only, and names no schema: columns, descriptions and policy tags stay those of the table. A load
    that names policy tags needs more rights, and one that leaves them out would remove them.
    Partitioning and clustering are the table's, because a load without them can be refused.
    """
    return {
        "sourceFormat": "PARQUET",
        "writeDisposition": "WRITE_TRUNCATE_DATA",
        "createDisposition": "CREATE_NEVER",
        "autodetect": False,
        **{part: existing[part] for part in ("timePartitioning", "clustering") if part in existing},
        # The smallest type that fits a file's decimal is chosen, as it was for the columns.
        "decimalTargetTypes": ["NUMERIC", "BIGNUMERIC"],
        "parquetOptions": {"enableListInference": True},
    }


def load_name(table: BigQueryTable, window: str, files: Sequence[str]) -> str:
    """Return the id of a load job: the same for the same files into the same window."""
    digest = hashlib.sha256("\n".join(files).encode()).hexdigest()[:20]
    return f"lake-{table.dataset}-{table.name}-{window_path(window)}-{digest}"


def is_abandoned(job_id: str, loads: Mapping[str, str]) -> bool:
    """Return True for a load of other files into a window that is loaded now.

    `loads` are the names of the loads (`load_name`) by the part before the digest.
    """
    name = job_id.rpartition("-")[0].removesuffix("-over")
    target = name.rpartition("-")[0]
    return target in loads and loads[target] != name


def emptied(table: BigQueryTable, windows: Sequence[str]) -> str:
    """Delete whole partitions, which reads no data."""
    return f"delete from {table.sql} where {_in(table, windows)}"


def rows_of(table: BigQueryTable, windows: Sequence[str], columns: Sequence[str]) -> str:
    """Select these columns of all rows of these windows."""
    column_list = ", ".join(f"`{column}`" for column in columns)
    return f"select {column_list} from {table.sql} where {_in(table, windows) if windows else 'false'}"


def rows_by_window(tables: Sequence[BigQueryTable], windows: Sequence[str] | None) -> str:
    """Count rows for each table, by its index in `tables`, and each window. Only these partitions are read."""
    return "\nunion all\n".join(
        f"select {index} as place, {WINDOW}, count(*) as row_count from {table.sql}"
        + ("" if windows is None else f" where {_in(table, windows)}")
        + f" group by {WINDOW}"
        for index, table in enumerate(tables)
    )


def rows_by_partition(tables: Sequence[BigQueryTable], windows: Sequence[str]) -> str:
    """Count rows for each table, by its index in `tables`, each of these windows and each Kafka partition."""
    return "\nunion all\n".join(
        f"select {index} as place, {WINDOW}, {_position(table)[0]}, count(*) as row_count "
        f"from {table.sql} where {_in(table, windows)} group by {WINDOW}, {_position(table)[0]}"
        for index, table in enumerate(tables)
    )


def rows_where(table: BigQueryTable, condition: str) -> str:
    """Select window, Kafka partition and offset of the rows that match a condition."""
    partition, offset = _position(table)
    return f"select {WINDOW}, {partition}, {offset} from {table.sql} where {condition}"


def removed_where(table: BigQueryTable, condition: str) -> str:
    """Delete the rows that match a condition."""
    return f"delete from {table.sql} where {condition}"


def at_positions(table: BigQueryTable, positions_by_window: Mapping[str, Collection[tuple[int, int]]]) -> Iterator[str]:
    """Yield conditions that together match the rows with these Kafka partitions and offsets in these windows."""
    partition, offset = _position(table)
    rows = [
        (window, position)
        for window, positions in sorted(positions_by_window.items())
        for position in sorted(positions)
    ]
    for first in range(0, len(rows), _LISTED_ROWS):
        offsets: dict[str, dict[int, list[str]]] = {}
        for window, (kafka_partition, kafka_offset) in rows[first : first + _LISTED_ROWS]:
            offsets.setdefault(window, {}).setdefault(kafka_partition, []).append(str(kafka_offset))
        matches = " or ".join(
            f"({_in(table, [window])} and {partition} = {kafka_partition} and {offset} in ({', '.join(listed)}))"
            for window, by_partition in offsets.items()
            for kafka_partition, listed in by_partition.items()
        )
        # The windows once more by themselves: only a plain condition prunes partitions for sure.
        yield f"{_in(table, list(offsets))} and ({matches})"


def values_equal(names: Sequence[str]) -> str:
    """Return a condition: these columns equal the query's parameters `v0`, `v1` and so on."""
    return " and ".join(f"`{name}` = @v{number}" for number, name in enumerate(names))


def parameter_types(table: BigQueryTable, names: Sequence[str]) -> list[str]:
    """Return SQL's names for the types of these columns."""
    types: dict[str, str] = {field["name"]: field["type"] for field in table.fields}
    return [_SQL_TYPES.get(types[name], types[name]) for name in names]


def quarantine_errors(quarantine: BigQueryTable) -> str:
    """Return the quarantine table as `reasons` reads it, in BigQuery's SQL."""
    row_id = "concat(cast(`partition` as string), ':', cast(`offset` as string)) as row_id"
    return f"(\n  select {WINDOW}, {row_id}, error\n  from {quarantine.sql}, unnest(errors) as error\n)"


def _position(table: BigQueryTable) -> tuple[str, str]:
    """Return the columns of Kafka's partition and offset, which have other names in quarantine."""
    is_staging = any(field["name"] == "_kafka_partition" for field in table.fields)
    return ("`_kafka_partition`", "`_offset`") if is_staging else ("`partition`", "`offset`")


def _in(table: BigQueryTable, windows: Sequence[str]) -> str:
    """Return a condition of literals: only constants prune partitions.

    A table has at most 10,000 partitions, so the text stays below 1 MB.
    """
    starts = (f"timestamp '{window_start(window, table.window).isoformat(' ')[:19]}+00'" for window in windows)
    return f"{WINDOW} in ({', '.join(starts)})"
