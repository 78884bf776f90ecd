"""One query in Athena: start it once and wait for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from time import sleep
from typing import Any
from uuid import uuid4

from lake_assets.aws import client, refusals
from lake_assets.errors import Unavailable
from lake_assets.settings import Settings
from lake_assets.warehouse.results import QueryError

_FIRST_PAUSE, _LAST_PAUSE = 0.2, 5.0
# Athena returns every value as text; values of other types stay text.
_VALUES: Mapping[str, Callable[[str], Any]] = {
    "tinyint": int,
    "smallint": int,
    "integer": int,
    "bigint": int,
    "float": float,
    "double": float,
    "decimal": Decimal,
    "boolean": lambda text: text == "true",
    "varbinary": bytes.fromhex,
}


@dataclass(frozen=True, slots=True)
class AthenaResult:
    """A query's result; values of the types above are Python's, others are Athena's text."""

    columns: tuple[str, ...]
    rows: list[list[Any]]


def run_query(settings: Settings, query: str, limit: int | None = None) -> AthenaResult:
    """Return the result, of at most `limit` rows.

    The wait ends when Athena ends the query, by its own time limit if need be. Raises QueryError with Athena's reason,
    Unavailable when Athena does not answer or the error is retryable.
    """
    athena = client("athena")
    with refusals("Athena", "LAKE_ATHENA_WORKGROUP and the rights of your credentials there"):
        started = athena.start_query_execution(
            QueryString=query,
            # The SDK may retry the request: Athena starts one query per token.
            ClientRequestToken=uuid4().hex,
            WorkGroup=settings.athena_workgroup,
            # Only used if the workgroup does not enforce a location of its own.
            ResultConfiguration={"OutputLocation": f"{settings.bucket}/athena/results/"},
        )
        identifier: str = started["QueryExecutionId"]
        execution = _done(athena, identifier)
        pages = iter(athena.get_paginator("get_query_results").paginate(QueryExecutionId=identifier))
        first = next(pages)["ResultSet"]
        columns = first["ResultSetMetadata"]["ColumnInfo"]
        # The first row of a SELECT's result is its header; results of SHOW or DESCRIBE have none.
        rows = first["Rows"][1:] if execution["StatementType"] == "DML" else first["Rows"]
        following = (row for page in pages for row in page["ResultSet"]["Rows"])
        selected = [*rows[:limit], *islice(following, None if limit is None else max(limit - len(rows), 0))]
    readers = [_VALUES.get(column["Type"], str) for column in columns]
    return AthenaResult(
        tuple(column["Name"] for column in columns),
        [[_value(cell, reader) for cell, reader in zip(row["Data"], readers, strict=True)] for row in selected],
    )


def _value(cell: Mapping[str, str], read: Callable[[str], Any]) -> Any:
    return read(cell["VarCharValue"]) if "VarCharValue" in cell else None


def _done(athena: Any, identifier: str) -> Any:
    """Wait for the end of the query and return its execution."""
    pause = _FIRST_PAUSE
    while True:
        execution = athena.get_query_execution(QueryExecutionId=identifier)["QueryExecution"]
        status = execution["Status"]
        if status["State"] == "SUCCEEDED":
            return execution
        if status["State"] in ("FAILED", "CANCELLED"):
            message = f"Athena's query {identifier} is {status['State'].lower()}: {status.get('StateChangeReason', '')}"
            if status.get("AthenaError", {}).get("Retryable"):
                raise Unavailable(f"{message}; try again later.")
            raise QueryError(message)
        sleep(pause)
        pause = min(pause * 2, _LAST_PAUSE)
