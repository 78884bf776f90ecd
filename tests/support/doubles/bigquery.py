"""BigQuery on this machine: the calls of its REST API that the lake makes, with the tables in DuckDB.

It refuses what BigQuery refuses of tables and loads, as far as that is documented: reserved column names, columns that
vanish, are required or change their type, a file that is not like the schema, rows of another partition, a job's name
that is taken. Callers have the permissions of `deploy/terraform/gcp` on jobs and policy tags: without
`bigquery.jobs.get` they see their own jobs only, and columns with a policy tag are set and read by those who may. It
does not prove other rights, quotas, cost, clustering, how BigQuery's own SQL differs from DuckDB's after translation,
or how it reads Parquet beyond names and types of columns.
"""

import base64
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, cast
from urllib.parse import parse_qs, urlsplit

import duckdb
import sqlglot
from sqlglot import exp

from lake_assets.bucket import let_read
from tests.support.deploy_documents import google_permissions

PROJECT, LOCATION = "lake-test", "europe-west3"
Fault = Literal["throttled", "internal", "unavailable", "reset", "answer lost"]
_STATUS = {"throttled": (429, "rateLimitExceeded"), "internal": (500, "internalError"), "unavailable": (503, "")}
_RESERVED = re.compile("_partition|_table_|_file_|_row_timestamp|__root__|_colidentifier", re.IGNORECASE)
_DUCKDB = {
    "STRING": "varchar", "BOOLEAN": "boolean", "INTEGER": "bigint", "FLOAT": "double", "DATE": "date",
    "TIMESTAMP": "timestamptz", "BYTES": "blob",
}  # fmt: skip
_READ = {
    "VARCHAR": "STRING", "BOOLEAN": "BOOLEAN", "BIGINT": "INTEGER", "INTEGER": "INTEGER", "DOUBLE": "FLOAT",
    "DATE": "DATE", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP", "BLOB": "BYTES", "HUGEINT": "INTEGER",
    "TIMESTAMP": "TIMESTAMP",
}  # fmt: skip
_ALTER = re.compile(r"alter table `(\w+)`\.`(\w+)` alter column `(\w+)` set data type (\w+)\((\d+)(?:, (\d+))?\)")
_PARTITIONS_PER_JOB = 4_000
_PARTITION = {"DAY": ("%Y%m%d", "day"), "HOUR": ("%Y%m%d%H", "hour")}


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class BigQueryDouble:
    """`calls` are the operations in order. `faults` are met by the next calls of an operation, once each;
    `failing` are reasons that the next load jobs fail for. While it `holds`, load jobs stay pending until `go_on`.
    `meeting` is waited at by each load that is begun. `meanwhile` is called once before the next change of a table.

    Callers are the orchestrator at `url`, and the account ACCOUNT at `url_of(ACCOUNT)`."""

    def __init__(self, bucket: str) -> None:
        self.calls: list[str] = []
        self.faults: list[tuple[str, Fault]] = []
        self.failing: list[str] = []
        self.meeting: threading.Barrier | None = None
        self.meanwhile: Callable[[], object] | None = None
        self.datasets: dict[str, dict[str, Any]] = {}
        self.tables: dict[tuple[str, str], dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.owners: dict[str, str] = {}
        self.holds = False
        self.answers: dict[str, dict[str, Any]] = {}
        self._answered: dict[str, dict[str, Any]] = {}
        self._lock = threading.RLock()
        self._session = duckdb.connect()
        self._session.execute("set timezone = 'UTC'")
        let_read(self._session, bucket)
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.path == "/token":
                    return self._send(200, {"access_token": "token", "expires_in": 3600, "token_type": "Bearer"})
                account, path = _caller(urlsplit(self.path).path)
                operation = double.operation(self.command, path)
                fault = double.called(operation)
                if fault == "reset":
                    return self._hang_up()
                if fault in _STATUS:
                    status, reason = _STATUS[fault]
                    return self._send(status, _error(status, reason, "come back later"))
                try:
                    asked = json.loads(body or b"{}")
                    double.check(operation, path, asked, account)
                    query = urlsplit(self.path).query
                    answer = double.answer(operation, path, asked, self.headers.get("If-Match"), query, account)
                    double.owns(operation, answer, account)
                    status = 200
                except Refused as error:
                    status, answer = error.status, _error(error.status, error.reason, str(error))
                return self._hang_up() if fault == "answer lost" else self._send(status, answer)

            do_GET = do_POST = do_PATCH = do_DELETE = _answer

            def _hang_up(self) -> None:
                self.close_connection = True

            def _send(self, status: int, answer: object) -> None:
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def url_of(self, account: str) -> str:
        return f"{self.url}/as/{account}"

    def check(self, operation: str, path: list[str], body: dict[str, Any], account: str) -> None:
        """Refuse a job that the account may not start, a look at a job of another account's, and policy tags."""
        granted = google_permissions()[account]["project"]
        self._check_tags(operation, body, google_permissions()[account])
        if operation in ("jobs.insert", "jobs.query") and "bigquery.jobs.create" not in granted:
            raise Refused(403, "accessDenied", f"Access Denied: {account} lacks bigquery.jobs.create")
        if operation == "jobs.list" and "bigquery.jobs.list" not in granted:
            raise Refused(403, "accessDenied", f"Access Denied: {account} lacks bigquery.jobs.list")
        if operation in ("jobs.get", "jobs.getQueryResults", "jobs.cancel"):
            own = self.owners.get(path[1], account) == account
            if not own and "bigquery.jobs.get" not in granted:
                raise Refused(403, "accessDenied", f"Access Denied: Job {path[1]}: {account} lacks bigquery.jobs.get")

    def _check_tags(self, operation: str, body: dict[str, Any], granted: Mapping[str, frozenset[str]]) -> None:
        names_tags = '"policyTags"' in json.dumps(body)
        if names_tags and "datacatalog.taxonomies.get" not in granted["taxonomy"]:
            raise Refused(403, "accessDenied", "Access Denied: User does not have permission to get taxonomy")
        may_read = "datacatalog.categories.fineGrainedGet" in granted["policy_tag"]
        if operation == "jobs.query" and not may_read and (tagged := self._tagged(body["query"])):
            raise Refused(403, "accessDenied", f"Access Denied: User may not read {', '.join(sorted(tagged))}")

    def _tagged(self, query: str) -> set[str]:
        """The columns with policy tags that a query reads."""
        if _ALTER.fullmatch(query):
            return set()
        statement = sqlglot.parse_one(query, dialect="bigquery")
        named = {column.name for column in statement.find_all(exp.Column)}
        everything = any(not isinstance(star.parent, exp.Count) for star in statement.find_all(exp.Star))
        return {
            field["name"]
            for table in statement.find_all(exp.Table)
            for field in self.tables.get((table.db, table.name), {}).get("schema", {}).get("fields", ())
            if "policyTags" in json.dumps(field) and (everything or field["name"] in named)
        }

    def owns(self, operation: str, answer: Any, account: str) -> None:
        if operation in ("jobs.insert", "jobs.query"):
            self.owners[answer["jobReference"]["jobId"]] = account

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
        self._session.close()

    def rows(self, table: str, order: str) -> list[dict[str, Any]]:
        with self._lock:
            return self._session.execute(f"from {table} order by {order}").to_arrow_table().to_pylist()

    @staticmethod
    def operation(method: str, path: list[str]) -> str:
        kind, named = path[(len(path) - 1) // 2 * 2], len(path) % 2 == 0
        if kind == "cancel":
            return "jobs.cancel"
        if kind == "queries":
            return "jobs.getQueryResults" if method == "GET" else "jobs.query"
        verbs = {"GET": "get" if named else "list", "PATCH": "patch", "POST": "insert", "DELETE": "delete"}
        return f"{kind}.{verbs[method]}"

    def called(self, operation: str) -> Fault | None:
        with self._lock:
            self.calls.append(operation)
            for index, (wanted, fault) in enumerate(self.faults):
                if wanted == operation:
                    del self.faults[index]
                    return fault
        return None

    def answer(
        self, operation: str, path: list[str], body: dict[str, Any], etag: str | None, query: str, account: str
    ) -> Any:
        if operation == "jobs.insert" and self.meeting is not None:
            self.meeting.wait(30)
        if operation.endswith(".patch") and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        answers: dict[str, Callable[[], Any]] = {
            "datasets.insert": lambda: self._insert_dataset(body),
            "datasets.get": lambda: self._dataset(path[1]),
            "datasets.patch": lambda: self._patch_dataset(path[1], body),
            "datasets.delete": lambda: self._delete_dataset(path[1]),
            "datasets.list": lambda: {"datasets": list(self.datasets.values())},
            "tables.insert": lambda: self._insert_table(body),
            "tables.get": lambda: self._table(path[1], path[3]),
            "tables.patch": lambda: self._patch_table(self._table(path[1], path[3]), body, etag),
            "tables.list": lambda: self._list_tables(path[1]),
            "tables.delete": lambda: self._delete_table(path[1], path[3]),
            "routines.list": lambda: {},
            "jobs.insert": lambda: (self._insert_query if "query" in body["configuration"] else self._insert_job)(body),
            "jobs.getQueryResults": lambda: self._answered[path[1]],
            "jobs.get": lambda: self._job(path[1]),
            "jobs.list": lambda: {"jobs": self._listed(query, account)},
            "jobs.cancel": lambda: {"job": self._cancel(path[1])},
            "jobs.query": lambda: self._query(body),
        }
        if operation not in answers:
            raise Refused(404, "notFound", f"the double knows no {operation}")
        with self._lock:
            return answers[operation]()

    def _patch_dataset(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        dataset = self._dataset(name)
        dataset |= body
        return dataset

    def _delete_dataset(self, name: str) -> dict[str, Any]:
        self._dataset(name)
        del self.datasets[name]
        self.tables = {place: table for place, table in self.tables.items() if place[0] != name}
        self._session.execute(f"drop schema {name} cascade")
        return {}

    def _list_tables(self, dataset: str) -> dict[str, Any]:
        self._dataset(dataset)
        return {"tables": [{**table, "type": "TABLE"} for place, table in self.tables.items() if place[0] == dataset]}

    def _delete_table(self, dataset: str, name: str) -> dict[str, Any]:
        name, _, partition = name.partition("$")
        table = self._table(dataset, name)
        if partition:
            own = _within(partition, table["timePartitioning"]["type"])
            if self._session.execute(f"select count(*) from {dataset}.{name} where {own}").fetchone() == (0,):
                raise Refused(404, "notFound", f"Not found: Table {dataset}.{name}${partition}")
            self._session.execute(f"delete from {dataset}.{name} where {own}")
            return {}
        del self.tables[dataset, name]
        self._session.execute(f"drop table {dataset}.{name}")
        return {}

    def _insert_dataset(self, body: dict[str, Any]) -> dict[str, Any]:
        name = body["datasetReference"]["datasetId"]
        if name in self.datasets:
            raise Refused(409, "duplicate", f"Already Exists: Dataset {name}")
        access = [
            {"role": "WRITER", "specialGroup": "projectWriters"},
            {"role": "OWNER", "specialGroup": "projectOwners"},
            {"role": "OWNER", "userByEmail": "lake@example.com"},
            {"role": "READER", "specialGroup": "projectReaders"},
        ]
        self.datasets[name] = {"access": access, "etag": "1", **body}
        self._session.execute(f"create schema {name}")
        return self.datasets[name]

    def _dataset(self, name: str) -> dict[str, Any]:
        if name not in self.datasets:
            raise Refused(404, "notFound", f"Not found: Dataset {PROJECT}:{name}")
        return self.datasets[name]

    def _insert_table(self, body: dict[str, Any]) -> dict[str, Any]:
        place = body["tableReference"]["datasetId"], body["tableReference"]["tableId"]
        self._dataset(place[0])
        if place in self.tables:
            raise Refused(409, "duplicate", f"Already Exists: Table {'.'.join(place)}")
        fields = body["schema"]["fields"]
        for field in fields:
            _check_name(field["name"])
        types = {field["name"]: field["type"] for field in fields}
        assert types[body["timePartitioning"]["field"]] == "TIMESTAMP"
        clustering = body.get("clustering", {}).get("fields", [])
        if len(clustering) > 4 or any(types[name] in ("FLOAT", "BYTES", "RECORD") for name in clustering):
            raise Refused(400, "invalid", f"cannot cluster by {clustering}")
        columns = ", ".join(f'"{field["name"]}" {_duckdb_type(field)}' for field in fields)
        self._session.execute(f"create table {place[0]}.{place[1]} ({columns})")
        self.tables[place] = {"etag": "1", **body}
        return self.tables[place]

    def _table(self, dataset: str, name: str) -> dict[str, Any]:
        if dataset == "_answers":
            return self.answers[name]
        if (dataset, name) not in self.tables:
            raise Refused(404, "notFound", f"Not found: Table {PROJECT}:{dataset}.{name}")
        return self.tables[dataset, name]

    def _patch_table(self, table: dict[str, Any], body: dict[str, Any], etag: str | None) -> dict[str, Any]:
        if etag is not None and etag != table["etag"]:
            raise Refused(412, "conditionNotMet", "Precondition Failed")
        place = _title(table["tableReference"])
        if "schema" in body:
            new = _same_or_wider(table["schema"]["fields"], body["schema"]["fields"], f"Table {place}")
            for field in new:
                _check_name(field["name"])
                self._session.execute(f'alter table {place} add column "{field["name"]}" {_duckdb_type(field)}')
        table |= body
        table["etag"] = str(int(table["etag"]) + 1)
        return table

    def _insert_job(self, body: dict[str, Any]) -> dict[str, Any]:
        job_id = body["jobReference"]["jobId"]
        if body["jobReference"].get("location") != LOCATION:
            raise Refused(404, "notFound", f"no dataset in {body['jobReference'].get('location')}")
        if job_id in self.jobs:
            raise Refused(409, "duplicate", f"Already Exists: Job {PROJECT}:{LOCATION}.{job_id}")
        self.jobs[job_id] = {**body, "status": {"state": "PENDING"}, "statistics": {}}
        if not self.holds:
            self._work_off(job_id)
        return {**self.jobs[job_id], "status": {"state": "RUNNING"}}

    def _work_off(self, job_id: str) -> None:
        status: dict[str, Any] = {"state": "DONE"}
        try:
            if self.failing:
                raise Refused(200, self.failing.pop(0), "the job was given up")
            self._load(self.jobs[job_id]["configuration"]["load"])
        except Refused as error:
            error_result = {"reason": error.reason, "message": str(error)}
            status |= {"errorResult": error_result, "errors": [error_result]}
        self.jobs[job_id]["status"] = status

    def go_on(self) -> None:
        """Run the jobs that were held, and hold no further ones."""
        with self._lock:
            self.holds = False
            for job_id, job in self.jobs.items():
                if job["status"]["state"] == "PENDING":
                    self._work_off(job_id)

    def _listed(self, query: str, account: str) -> list[dict[str, Any]]:
        """The jobs that the account started, of the state in the query."""
        (state,) = parse_qs(query)["stateFilter"]
        return [
            {**job, "id": job_id, "state": state.upper()}
            for job_id, job in self.jobs.items()
            if job["status"]["state"] == state.upper() and self.owners[job_id] == account
        ]

    def _cancel(self, job_id: str) -> dict[str, Any]:
        job = self._job(job_id)
        if job["status"]["state"] != "DONE":
            stopped = {"reason": "stopped", "message": "Job execution was cancelled"}
            job["status"] = {"state": "DONE", "errorResult": stopped, "errors": [stopped]}
        return job

    def _job(self, job_id: str) -> dict[str, Any]:
        if job_id not in self.jobs:
            raise Refused(404, "notFound", f"Not found: Job {job_id}")
        return self.jobs[job_id]

    def _load(self, load: dict[str, Any]) -> None:
        place = load["destinationTable"]
        name, _, partition = place["tableId"].partition("$")
        table = self._table(place["datasetId"], name)
        assert partition
        assert load["sourceFormat"] == "PARQUET"
        if any(load.get(part) != table.get(part) for part in ("timePartitioning", "clustering")):
            raise Refused(200, "invalid", "Incompatible table partitioning specification")
        fields = table["schema"]["fields"]
        if "schema" in load:
            fields = load["schema"]["fields"]
            if _same_or_wider(table["schema"]["fields"], fields, f"Table {name}"):
                raise Refused(200, "invalid", f"Provided Schema does not match Table {name}. Cannot add fields")
        columns = {field["name"]: field for field in fields}
        paths = ", ".join(f"'{uri}'" for uri in load["sourceUris"])
        try:
            described = self._session.execute(f"describe select * from read_parquet([{paths}])").fetchall()
        except duckdb.Error as error:
            raise Refused(200, "notFound", f"Not found: URI {paths}") from error
        for column, kind, *_ in described:
            found = _read_type(kind, load)
            if column not in columns or columns[column]["mode"] == "REQUIRED" or found != columns[column]["type"]:
                raise Refused(200, "invalid", f"Error while reading data: field '{column}' is {found} in the file")
        own = _within(partition, table["timePartitioning"]["type"])
        source = f"read_parquet([{paths}])"
        self._session.execute("begin")
        try:
            strangers = self._session.execute(f"select count(*) from {source} where ({own}) is not true").fetchone()
            if strangers != (0,):
                raise Refused(200, "invalid", f"Some rows belong to different partitions than ${partition}")
            self._session.execute(f"delete from {place['datasetId']}.{name} where {own}")
            self._session.execute(f"insert into {place['datasetId']}.{name} by name from {source}")
            self._session.execute("commit")
            if load["writeDisposition"] == "WRITE_TRUNCATE":
                # The table's schema becomes the load's, or the file's, which has neither descriptions nor tags.
                bare = [{k: v for k, v in field.items() if k not in ("description", "policyTags")} for field in fields]
                table["schema"] = load.get("schema", {"fields": bare})
            else:
                assert load["writeDisposition"] == "WRITE_TRUNCATE_DATA"
        except BaseException:
            self._session.execute("rollback")
            raise

    def _query(self, body: dict[str, Any]) -> dict[str, Any]:
        assert body["useLegacySql"] is False
        job_id = f"query-{len(self.calls)}"
        done = {"jobComplete": True, "jobReference": {"projectId": PROJECT, "jobId": job_id, "location": LOCATION}}
        if body["query"].startswith("delete") and body["query"].count("timestamp '") > _PARTITIONS_PER_JOB:
            raise Refused(400, "invalidQuery", "Too many partitions produced by query, allowed 4000")
        if altered := _ALTER.fullmatch(body["query"]):
            self._widen(*altered.groups())
            return {**done, "schema": {"fields": []}, "totalRows": "0"}
        result = self._run(
            _given(sqlglot.parse_one(body["query"], dialect="bigquery"), body.get("queryParameters", ()))
        )
        rows, most = result["rows"], int(body.get("maxResults", len(result["rows"])))
        if most < len(rows):
            # The client goes on with the job, and asks for as many rows again.
            place = {"projectId": PROJECT, "datasetId": "_answers", "tableId": job_id}
            query = {"query": body["query"], "destinationTable": place}
            reference = {"jobReference": done["jobReference"], "configuration": {"query": query}}
            self.jobs[job_id] = {**reference, "status": {"state": "DONE"}, "statistics": {}}
            result |= {"rows": rows[:most], "pageToken": "more"}
            self._answered[job_id] = {**done, **result}
        return {**done, **result}

    def _insert_query(self, body: dict[str, Any]) -> dict[str, Any]:
        """A query's job as dbt starts one; a dry run returns the kind of the statement."""
        query, job_id = body["configuration"]["query"], body["jobReference"]["jobId"]
        [statement, *others] = sqlglot.parse(query["query"], dialect="bigquery")
        assert statement
        kind = "SCRIPT" if others else _kind(statement)
        job = {**body, "status": {"state": "DONE"}, "statistics": {"query": {"statementType": kind}}}
        place = {"projectId": PROJECT, "datasetId": "_answers", "tableId": job_id}
        if not body["configuration"].get("dryRun"):
            if kind == "CREATE_TABLE_AS_SELECT":
                place = self._create(statement)
                result: dict[str, Any] = {"schema": {"fields": []}, "totalRows": "0"}
            else:
                result = self._run(statement)
                self.answers[job_id] = {
                    "tableReference": place,
                    "schema": result["schema"],
                    "numRows": result["totalRows"],
                }
            self._answered[job_id] = {"jobComplete": True, "jobReference": body["jobReference"], **result}
        job["configuration"]["query"]["destinationTable"] = place
        self.jobs[job_id] = job
        return job

    def _create(self, statement: exp.Expr) -> dict[str, str]:
        """Create or replace a table of a query; the statement names its columns and types."""
        table = statement.this.this
        name, dataset = table.name, table.db
        self._dataset(dataset)
        columns = [
            f'"{column.name}" {column.args["kind"].sql("duckdb")}'
            + (" not null" if column.find(exp.NotNullColumnConstraint) else "")
            for column in statement.this.expressions
        ]
        self._session.execute(f"create or replace table {dataset}.{name} ({', '.join(columns)})")
        self._session.execute(f"insert into {dataset}.{name} {self._sql(statement.expression)}")
        described = self._session.execute(f"describe {dataset}.{name}").fetchall()
        fields = [_schema_field(column, kind) for column, kind, *_ in described]
        place = {"projectId": PROJECT, "datasetId": dataset, "tableId": name}
        self.tables[dataset, name] = {
            "tableReference": place,
            "schema": {"fields": fields},
            "etag": "1",
            "numRows": "0",
        }
        return place

    @staticmethod
    def _sql(statement: exp.Expr) -> str:
        for table in statement.find_all(exp.Table):
            table.set("catalog", None)
        for day in list(statement.find_all(exp.DateTrunc)):
            # BigQuery's is a date again, DuckDB's a time stamp.
            day.replace(exp.cast(day.copy(), "date"))
        return statement.sql("duckdb")

    def _run(self, statement: exp.Expr) -> dict[str, Any]:
        try:
            relation = self._session.execute(self._sql(statement))
        except duckdb.CatalogException as error:
            raise Refused(404, "notFound", f"Not found: {error}") from error
        except (duckdb.BinderException, duckdb.ParserException) as error:
            raise Refused(400, "invalidQuery", str(error)) from error
        if not isinstance(statement, exp.Query):
            return {"schema": {"fields": []}, "rows": [], "totalRows": "0"}
        found = relation.to_arrow_table()
        kinds = [str(kind) for _, kind, *_ in relation.description or ()]
        fields = [_schema_field(name, kind) for name, kind in zip(found.column_names, kinds, strict=True)]
        rows = [_shown(row)["v"] for row in found.to_pylist()]
        return {"schema": {"fields": fields}, "rows": rows, "totalRows": str(len(rows))}

    def _widen(self, dataset: str, name: str, column: str, kind: str, precision: str, scale: str | None) -> None:
        table = self._table(dataset, name)
        (field,) = (field for field in table["schema"]["fields"] if field["name"] == column)
        before, behind = int(field["precision"]), int(field.get("scale", 0))
        if int(scale or 0) < behind or int(precision) - int(scale or 0) < before - behind:
            raise Refused(400, "invalidQuery", f"cannot narrow {column}")
        field |= {"type": kind, "precision": precision} | ({"scale": scale} if scale else {})
        table["etag"] = str(int(table["etag"]) + 1)
        self._session.execute(f'alter table {dataset}.{name} alter "{column}" set data type {_duckdb_type(field)}')


def _caller(path: str) -> tuple[str, list[str]]:
    """The account that calls, and the parts of the path below the project."""
    account = "orchestrator"
    if path.startswith("/as/"):
        _, _, account, path = path.split("/", 3)
        path = f"/{path}"
    return account, path.removeprefix(f"/bigquery/v2/projects/{PROJECT}/").split("/")


def _within(partition: str, kind: str) -> str:
    """The condition for the rows of a partition."""
    form, unit = _PARTITION[kind]
    start = f"strptime('{partition}', '{form}')::timestamptz"
    return f"_window >= {start} and _window < {start} + interval 1 {unit}"


def _given(statement: exp.Expr, parameters: Sequence[Mapping[str, Any]]) -> exp.Expr:
    """The statement with the values of its parameters, each of the type that it was sent with."""
    values = {
        one["name"]: exp.cast(
            exp.Literal.string(one["parameterValue"]["value"]), one["parameterType"]["type"], dialect="bigquery"
        )
        for one in parameters
    }
    for parameter in list(statement.find_all(exp.Parameter)):
        if parameter.name not in values:
            raise Refused(400, "invalidQuery", f"Query parameter '{parameter.name}' not found")
        parameter.replace(values[parameter.name].copy())
    return statement


def _kind(statement: exp.Expr) -> str:
    if isinstance(statement, exp.Create):
        return "CREATE_TABLE_AS_SELECT"
    return "SELECT" if isinstance(statement, exp.Query) else statement.key.upper()


def _error(status: int, reason: str, message: str) -> dict[str, Any]:
    errors = [{"reason": reason, "message": message}] if reason else []
    return {"error": {"code": status, "message": message, "errors": errors}}


def _title(reference: Mapping[str, str]) -> str:
    return f"{reference['datasetId']}.{reference['tableId']}"


def _check_name(name: str) -> None:
    if _RESERVED.match(name):
        raise Refused(400, "invalid", f'Invalid field name "{name}": its prefix is reserved')


def _same_or_wider(old: list[dict[str, Any]], new: list[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    """The fields that only `new` has."""
    given = {field["name"]: field for field in new}
    for field in old:
        if field["name"] not in given:
            raise Refused(400, "invalid", f"Provided Schema does not match {what}. {field['name']} is missing")
        for part in ("type", "precision", "scale", "mode"):
            if field.get(part) != given[field["name"]].get(part):
                raise Refused(400, "invalid", f"Provided Schema does not match {what}. {field['name']} has changed")
    known = {field["name"] for field in old}
    added = [field for field in new if field["name"] not in known]
    if any(field["mode"] == "REQUIRED" for field in added):
        raise Refused(400, "invalid", f"Provided Schema does not match {what}. Cannot add required fields")
    return added


def _duckdb_type(field: Mapping[str, Any]) -> str:
    if field["type"] == "RECORD":
        parts = ", ".join(f'"{part["name"]}" {_duckdb_type(part)}' for part in field["fields"])
        return f"struct({parts})" + ("[]" if field["mode"] == "REPEATED" else "")
    if field["type"] in ("NUMERIC", "BIGNUMERIC"):
        return f"decimal({field['precision']}, {field.get('scale', 0)})"
    return _DUCKDB[field["type"]]


def _read_type(kind: str, load: Mapping[str, Any]) -> str:
    """Return the type that BigQuery reads a column of a Parquet file as; the kind is DuckDB's."""
    if decimal := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind):
        precision, scale = int(decimal[1]), int(decimal[2])
        fits = scale <= 9 and precision - scale <= 29
        return next(t for t in load.get("decimalTargetTypes", ["NUMERIC"]) if t == "BIGNUMERIC" or fits)
    if kind.endswith("[]"):
        return "RECORD" if load.get("parquetOptions", {}).get("enableListInference") else "RECORD with list in it"
    return _READ.get(kind, kind)


def _schema_field(name: str, kind: str) -> dict[str, Any]:
    """A column of an answer; the only ones that repeat are lists of texts together."""
    if kind.endswith("[]"):
        parts = [_schema_field(part, "VARCHAR") for part in re.findall(r'(\w+)"? VARCHAR', kind)]
        return {"name": name, "type": "RECORD", "mode": "REPEATED", "fields": parts}
    return {"name": name, "type": "NUMERIC" if kind.startswith("DECIMAL") else _READ[kind.upper()], "mode": "NULLABLE"}


def _shown(value: Any) -> dict[str, Any]:
    """Return a row as the API writes it; time stamps are in microseconds, as its client requests."""
    match value:
        case None:
            return {"v": None}
        case bytes():
            return {"v": base64.b64encode(value).decode()}
        case list():
            return {"v": [_shown(item) for item in cast("list[Any]", value)]}
        case dict():
            return {"v": {"f": [_shown(part) for part in cast("dict[str, Any]", value).values()]}}
        case datetime():
            return {"v": str(round(value.timestamp() * 1_000_000))}
        case _:
            return {"v": str(value)}
