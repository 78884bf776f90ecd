"""Glue and Athena on this machine: moto keeps the catalog and the bucket, DuckDB answers Athena's SQL over both.

Requests for Glue pass through here before they reach moto, which ignores versions and loses no part of a batch.

It does not prove how Athena plans, prunes, bills or limits a query, its time stamps of milliseconds, Lake Formation, or
anyone's rights. SQL is read in Athena's dialect by sqlglot, but it means what DuckDB takes it to mean. It does refuse
what Athena is known to refuse: a partition whose columns have other types than its table's, a file whose columns have
other types than the table's, a column twice.
"""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import requests
import sqlglot
from sqlglot import exp

from lake_assets.aws import client
from lake_assets.bucket import read, write
from tests.support.deploy_documents import athena_workgroups
from tests.support.doubles.aws_endpoint import Endpoint, Refused

_SYMLINK = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"
_PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
_TYPES = {
    "string": "VARCHAR",
    "binary": "BLOB",
    "int": "INTEGER",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "array<struct<code:string,field:string,value:string,message:string>>": (
        "STRUCT(code VARCHAR, field VARCHAR, \"value\" VARCHAR, message VARCHAR)[]"
    ),
}  # fmt: skip


# Types that Athena has not, and what it makes of the same expression.
_WRITTEN = {"HUGEINT": "BIGINT", "TIMESTAMP": "TIMESTAMP WITH TIME ZONE"}
_GLUE = {"VARCHAR": "string", "INTEGER": "int", "TIMESTAMP WITH TIME ZONE": "timestamp", "BLOB": "binary"}
_TYPE_NAMES = {"HUGEINT": "bigint", "TIMESTAMP WITH TIME ZONE": "timestamp", "BLOB": "varbinary"}
_CREATE_TABLE = re.compile(
    r'create table "awsdatacatalog"\."(?P<database>\w+)"\."(?P<name>\w+)"\s+'
    r"with \((?P<options>.*?)\)\s+as\s(?P<query>.*)",
    re.IGNORECASE | re.DOTALL,
)
# A list of rows has a column for each of their fields in Athena, and one column in DuckDB.
_UNNESTED = re.compile(r"(?<=CROSS JOIN )UNNEST\((\w+)\)(?= AS \w+\(\w+, )")
_PAGE = 1_000


class Failed(Exception):
    """Failure of a query, in Athena's form."""


class AthenaDouble(Endpoint):
    """`refuse` are error codes by table and partition value, met by the next batch that changes the partition, once
    for each code in the list. `before` is called by name of the operation before the next one, once. `queries` are
    those that were run; `broken` makes the next one fail with this reason. `workgroups` are the account's first one and
    those of `deploy/terraform/aws`, by name. `folder` is for copies of the bucket's files, which never change."""

    def __init__(self, moto: str, folder: Path) -> None:
        self.refuse: dict[tuple[str, str], list[str]] = {}
        self.before: dict[str, Callable[[], None]] = {}
        self.queries: dict[str, dict[str, Any]] = {}
        self.broken: tuple[str, bool] | None = None
        self.workgroups: dict[str, dict[str, Any]] = {"primary": {}, **athena_workgroups("lake")}
        self._moto, self._folder = moto, folder
        self._columns: dict[str, dict[str, str]] = {}
        self._lists: dict[tuple[str, str], list[str]] = {}
        super().__init__()

    def route(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[str, Callable[[], Any]]:
        if "X-Amz-Target" not in headers:
            return path, lambda: self._lake_formation(path, headers, body)
        service, _, operation = headers["X-Amz-Target"].partition(".")
        asked = json.loads(body)
        if service == "AWSGlue":
            return operation, lambda: self._glue(operation, headers, asked)
        answers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "StartQueryExecution": self._start,
            "GetQueryExecution": lambda asked: {"QueryExecution": self.queries[asked["QueryExecutionId"]]["execution"]},
            "GetQueryResults": self._results,
            "GetWorkGroup": lambda asked: {
                "WorkGroup": {"Name": asked["WorkGroup"], "Configuration": self._workgroup(asked["WorkGroup"])}
            },
        }
        return operation, lambda: answers[operation](asked)

    def _lake_formation(self, path: str, headers: dict[str, str], body: bytes) -> Any:
        """Return moto's answer, except for what moto lacks: grants by tags, a database without tags."""
        asked = json.loads(body)
        by_tags = asked.pop("ResourceType", "") == "LF_TAG_POLICY"
        kept = {name: headers[name] for name in ("Authorization", "Content-Type") if name in headers}
        answer = requests.post(self._moto.rstrip("/") + path, data=json.dumps(asked), headers=kept, timeout=60)
        if path == "/GetResourceLFTags" and answer.status_code == 500:
            return {}
        assert answer.ok, answer.text
        tags = answer.json()
        if by_tags:
            entries = tags["PrincipalResourcePermissions"]
            tags["PrincipalResourcePermissions"] = [e for e in entries if "LFTagPolicy" in e["Resource"]]
        return tags

    def rows(self, query: str) -> list[dict[str, Any]]:
        """A query's rows as Python's own values."""
        return self._run(query).to_arrow_table().to_pylist()

    def _glue(self, operation: str, headers: dict[str, str], asked: dict[str, Any]) -> Any:
        if hook := self.before.pop(operation, None):
            hook()
        if operation == "UpdateTable" and "VersionId" in asked:
            there = self.table(asked["DatabaseName"], asked["TableInput"]["Name"])
            if there["VersionId"] != asked["VersionId"]:
                raise Refused("ConcurrentModificationException", "The table was changed by somebody else.")
        errors = self._refused_parts(operation, asked)
        result = self.ask_moto(operation, asked)
        return {**result, "Errors": [*result.get("Errors", []), *errors]} if errors else result

    def ask_moto(self, operation: str, asked: Mapping[str, Any]) -> Any:
        """Glue's answer without anything of this double's."""
        headers = {
            "X-Amz-Target": f"AWSGlue.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": "AWS4-HMAC-SHA256 Credential=double/20260101/us-east-1/glue/aws4_request",
        }
        answer = requests.post(self._moto, data=json.dumps(asked), headers=headers, timeout=60)
        content = answer.json()
        if not answer.ok:
            raise Refused(content["__type"].rpartition("#")[2], content.get("message") or content.get("Message") or "")
        return content

    def _refused_parts(self, operation: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """Remove the parts of a batch that shall be refused."""
        parts = {
            "BatchCreatePartition": ("PartitionInputList", "Values", "PartitionValues"),
            "BatchUpdatePartition": ("Entries", "PartitionValueList", "PartitionValueList"),
            "BatchDeletePartition": ("PartitionsToDelete", "Values", "PartitionValues"),
        }
        if operation not in parts:
            return []
        given, key, key_name = parts[operation]
        most = 25 if operation == "BatchDeletePartition" else 100
        if len(asked[given]) > most:
            raise Refused("InvalidInputException", f"{operation} takes {most} at most.")
        errors: list[dict[str, Any]] = []
        left: list[dict[str, Any]] = []
        for part in asked[given]:
            if codes := self.refuse.get((asked["TableName"], part[key][0])):
                detail = {"ErrorCode": codes.pop(0), "ErrorMessage": "not this one"}
                errors.append({key_name: part[key], "ErrorDetail": detail})
            else:
                left.append(part)
        asked[given] = left
        return errors

    def table(self, database: str, name: str) -> Any:
        return self.ask_moto("GetTable", {"DatabaseName": database, "Name": name})["Table"]

    def partitions(self, database: str, name: str) -> Any:
        return self.ask_moto("GetPartitions", {"DatabaseName": database, "TableName": name})["Partitions"]

    def _workgroup(self, name: str) -> dict[str, Any]:
        if name not in self.workgroups:
            raise Refused("InvalidRequestException", f"WorkGroup {name} is not found.")
        return self.workgroups[name]

    def _output(self, asked: dict[str, Any]) -> tuple[str, bool]:
        """The location of a query's results, and whether its workgroup enforces it."""
        configuration = self._workgroup(asked["WorkGroup"])
        of_group = configuration.get("ResultConfiguration", {}).get("OutputLocation", "")
        enforced = bool(of_group and configuration.get("EnforceWorkGroupConfiguration"))
        location = of_group if enforced else asked.get("ResultConfiguration", {}).get("OutputLocation") or of_group
        if not location:
            raise Refused("InvalidRequestException", "No output location provided.")
        return location.rstrip("/"), enforced

    def _start(self, asked: dict[str, Any]) -> dict[str, str]:
        identifier = asked["ClientRequestToken"]
        assert len(identifier) >= 32
        if identifier in self.queries:
            return {"QueryExecutionId": identifier}
        execution: dict[str, Any] = {"Status": {"State": "SUCCEEDED"}, "StatementType": "DML", "Statistics": {}}
        columns: list[dict[str, Any]] = []
        rows: list[Any] = []
        output, enforced = self._output(asked)
        try:
            if self.broken:
                raise Failed(self.broken[0])
            query = re.sub(r"(\s|--[^\n]*\n)*", "", asked["QueryString"], count=1).rstrip("; \n")
            if re.match(r"(select|with)\b", query, re.IGNORECASE):
                answer = self._run(query)
                columns = [_column(name, str(kind)) for name, kind, *_ in answer.description]
                rows = [tuple(answer.columns), *answer.fetchall()]
            else:
                execution["StatementType"] = "DDL"
                self._change(query, f"{output}/tables/{identifier}/", enforced=enforced)
        except (Failed, duckdb.Error) as error:
            retryable = bool(self.broken and self.broken[1])
            self.broken = None
            execution["Status"] = {
                "State": "FAILED", "StateChangeReason": str(error), "AthenaError": {"Retryable": retryable},
            }  # fmt: skip
        cells = [{"Data": [_cell(value) for value in row]} for row in rows]
        self.queries[identifier] = {"asked": asked, "execution": execution, "columns": columns, "rows": cells}
        return {"QueryExecutionId": identifier}

    def _results(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A page of 1,000 rows, as many as Athena gives at once."""
        query = self.queries[asked["QueryExecutionId"]]
        first = int(asked.get("NextToken", "0"))
        results = {"ResultSetMetadata": {"ColumnInfo": query["columns"]}, "Rows": query["rows"][first : first + _PAGE]}
        more = {"NextToken": str(first + _PAGE)} if len(query["rows"]) > first + _PAGE else {}
        return {"ResultSet": results, **more}

    def _change(self, query: str, among_results: str, *, enforced: bool) -> None:
        """Do what dbt does besides queries: create a table of a query, and give Glue its files.

        A workgroup that enforces its location takes no other one for the files.
        """
        if made := _CREATE_TABLE.fullmatch(query):
            location = re.search(r"external_location='([^']+)'", made["options"])
            if location and enforced:
                raise Failed("The Athena query's external_location is set, but the workgroup enforces a location.")
            files = f"{location[1].rstrip('/')}/" if location else among_results
            self._create(made["database"], made["name"], files, made["query"])
        elif not re.match(r"alter table \S+ set tblproperties", query, re.IGNORECASE):
            raise Failed(f"the double does not know how to {query}")

    def _create(self, database: str, name: str, location: str, query: str) -> None:
        answer = self._run(query)
        chosen = ", ".join(
            f'cast("{column}" as {_WRITTEN.get(str(kind), str(kind))}) as "{column}"'
            for column, kind, *_ in answer.description
        )
        path = self._folder / f"{len(self.queries)}.parquet"
        made = answer.project(chosen)
        made.write_parquet(str(path))
        write(f"{location}part-0", path.read_bytes())
        kinds = [_WRITTEN.get(str(kind), str(kind)) for _, kind, *_ in made.description]
        columns = [
            {"Name": column, "Type": _GLUE.get(kind, kind.lower().replace(" ", ""))}
            for column, kind in zip(made.columns, kinds, strict=True)
        ]
        storage = {"Columns": columns, "Location": location, "SerdeInfo": {"SerializationLibrary": _PARQUET}}
        table = {"Name": name, "TableType": "EXTERNAL_TABLE", "StorageDescriptor": storage, "PartitionKeys": []}
        self.ask_moto("CreateTable", {"DatabaseName": database, "TableInput": {**table, "Parameters": {}}})

    def _run(self, query: str) -> duckdb.DuckDBPyRelation:
        [statement] = sqlglot.parse(query, dialect="athena")
        assert isinstance(statement, exp.Query)
        session = duckdb.connect()
        session.execute("set timezone = 'UTC'")
        for table in statement.find_all(exp.Table):
            if table.db:
                session.execute(f'create schema if not exists "{table.db}"')
                session.execute(f'create or replace view "{table.db}"."{table.name}" as {self._select(session, table)}')
                table.set("catalog", None)
        return session.sql(_UNNESTED.sub(r"LATERAL (SELECT UNNEST(\1, recursive := true))", statement.sql("duckdb")))

    def _select(self, session: duckdb.DuckDBPyConnection, name: exp.Table) -> str:
        try:
            table = self.table(name.db, name.name)
        except Refused as error:
            raise Failed(f"TABLE_NOT_FOUND: {error}") from None
        columns = {c["Name"]: c["Type"] for c in table["StorageDescriptor"]["Columns"]}
        if not table["PartitionKeys"]:
            files = ", ".join(f"'{self._copy(file)}'" for file in _below(table["StorageDescriptor"]["Location"]))
            return f"select * from read_parquet([{files}])"
        [key] = table["PartitionKeys"]
        if key["Name"] in columns:
            raise Failed(f"HIVE_INVALID_METADATA: the column {key['Name']} is there twice.")
        nothing = ", ".join(f'cast(null as {_duckdb(kind)}) as "{column}"' for column, kind in columns.items())
        parts = [f'select {nothing}, cast(null as {key["Type"]}) as "{key["Name"]}" where false']
        there = _objects(table["StorageDescriptor"]["Location"])
        for partition in self.partitions(name.db, name.name):
            storage = partition["StorageDescriptor"]
            for column in storage["Columns"]:
                if columns.get(column["Name"], column["Type"]) != column["Type"]:
                    raise Failed(f"HIVE_PARTITION_SCHEMA_MISMATCH: {column['Name']} of {partition['Values']}.")
            assert storage["InputFormat"] == _SYMLINK
            assert storage["SerdeInfo"]["SerializationLibrary"] == _PARQUET
            for file in map(self._copy, self._linked(storage["Location"], there)):
                found = self._columns_of(session, file)
                chosen = ", ".join(
                    f'cast({_read(column, kind, found, file)} as {_duckdb(kind)}) as "{column}"'
                    for column, kind in columns.items()
                )
                value = f"cast('{partition['Values'][0]}' as {key['Type']})"
                parts.append(f"select {chosen}, {value} as \"{key['Name']}\" from read_parquet('{file}')")
        return "\nunion all\n".join(parts)

    def _linked(self, location: str, there: Mapping[str, str]) -> list[str]:
        """Every file below a location is a list of files, as the input format has it. `there` are those known to be."""
        lists = {url: etag for url, etag in there.items() if url.startswith(location)} or _below(location)
        for url, etag in lists.items():
            if (url, etag) not in self._lists:
                self._lists[url, etag] = (read(url) or b"").decode().splitlines()
        return [line for known in lists.items() for line in self._lists[known]]

    def _columns_of(self, session: duckdb.DuckDBPyConnection, file: str) -> Mapping[str, str]:
        if file not in self._columns:
            rows = session.execute(f"describe from read_parquet('{file}')").fetchall()
            self._columns[file] = {name: kind for name, kind, *_ in rows}
        return self._columns[file]

    def _copy(self, url: str) -> str:
        path = self._folder / url.rpartition("://")[2].replace("/", "-")
        if not path.exists():
            content = read(url)
            if content is None:
                raise Failed(f"HIVE_CANNOT_OPEN_SPLIT: there is no {url}.")
            path.write_bytes(content)
        return str(path)


def _read(column: str, kind: str, found: Mapping[str, str], file: str) -> str:
    if column not in found:
        return "null"
    wanted, there = _duckdb(kind).upper(), found[column]
    if there.startswith("DECIMAL"):
        precision, scale = (int(part) for part in wanted[8:-1].split(","))
        old_precision, old_scale = (int(part) for part in there[8:-1].split(","))
        fits = old_precision <= precision and old_scale == scale
    else:
        fits = there == _TYPES.get(kind, kind.upper())
    if not fits:
        raise Failed(f"HIVE_BAD_DATA: {column} is {there} in {file} and {kind} in the table.")
    return f'"{column}"'


def _duckdb(kind: str) -> str:
    return _TYPES.get(kind, kind)


def _below(location: str) -> dict[str, str]:
    """The files below a location, each with its tag."""
    if not (found := _objects(location)):
        raise Failed(f"HIVE_FILESYSTEM_ERROR: there is nothing at {location}.")
    return found


def _objects(location: str) -> dict[str, str]:
    assert location.endswith("/")
    address = urlsplit(location)
    pages = (
        client("s3").get_paginator("list_objects_v2").paginate(Bucket=address.netloc, Prefix=address.path.lstrip("/"))
    )
    return {f"s3://{address.netloc}/{one['Key']}": one["ETag"] for page in pages for one in page.get("Contents", [])}


def _cell(value: object) -> dict[str, str]:
    """A value as Athena's text for it."""
    if isinstance(value, bool):
        return {"VarCharValue": str(value).lower()}
    if isinstance(value, bytes):
        return {"VarCharValue": value.hex(" ")}
    return {} if value is None else {"VarCharValue": str(value)}


def _column(name: str, kind: str) -> dict[str, Any]:
    decimal = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
    precision, scale = (int(decimal[1]), int(decimal[2])) if decimal else (0, 0)
    name_of_type = "decimal" if decimal else _TYPE_NAMES.get(kind, kind.lower())
    return {
        "Name": name,
        "Label": name,
        "Type": name_of_type,
        "Precision": precision,
        "Scale": scale,
        "Nullable": "UNKNOWN",
    }
