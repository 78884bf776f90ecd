"""One query in Athena, started once and waited for."""

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
from lake_assets.warehouse.answers import QueryError

_FIRST_PAUSE, _LAST_PAUSE = 0.2, 5.0
# Athena tells every value as text; what is not here stays text.
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
class Found:
    """A query's answer; values of the types above are Python's own, others are Athena's text for them."""

    columns: tuple[str, ...]
    rows: list[list[Any]]


def ask(settings: Settings, query: str, limit: int | None = None) -> Found:
    """The answer, of at most `limit` rows.

    The wait ends when Athena ends the query, by its own time limit if need be. Raises QueryError with Athena's reason,
    Unavailable when Athena does not answer or says that trying again may help.
    """
    athena = client("athena")
    with refusals("Athena", "LAKE_ATHENA_WORKGROUP and what your credentials may do there"):
        started = athena.start_query_execution(
            QueryString=query,
            # The SDK may send the request again: Athena starts one query for a token.
            ClientRequestToken=uuid4().hex,
            WorkGroup=settings.athena_workgroup,
            # Counts only where the workgroup does not enforce a place of its own.
            ResultConfiguration={"OutputLocation": f"{settings.bucket}/athena/"},
        )
        identifier: str = started["QueryExecutionId"]
        execution = _done(athena, identifier)
        pages = iter(athena.get_paginator("get_query_results").paginate(QueryExecutionId=identifier))
        first = next(pages)["ResultSet"]
        columns = first["ResultSetMetadata"]["ColumnInfo"]
        # The first row of what a SELECT answers is its header; what SHOW or DESCRIBE answers has none.
        rows = first["Rows"][1:] if execution["StatementType"] == "DML" else first["Rows"]
        following = (row for page in pages for row in page["ResultSet"]["Rows"])
        wanted = [*rows[:limit], *islice(following, None if limit is None else max(limit - len(rows), 0))]
    read = [_VALUES.get(column["Type"], str) for column in columns]
    return Found(
        tuple(column["Name"] for column in columns),
        [[_value(cell, of) for cell, of in zip(row["Data"], read, strict=True)] for row in wanted],
    )


def _value(cell: Mapping[str, str], read: Callable[[str], Any]) -> Any:
    return read(cell["VarCharValue"]) if "VarCharValue" in cell else None


def _done(athena: Any, identifier: str) -> Any:
    """What Athena says of the query once it is over."""
    pause = _FIRST_PAUSE
    while True:
        execution = athena.get_query_execution(QueryExecutionId=identifier)["QueryExecution"]
        status = execution["Status"]
        if status["State"] == "SUCCEEDED":
            return execution
        if status["State"] in ("FAILED", "CANCELLED"):
            told = f"Athena's query {identifier} is {status['State'].lower()}: {status.get('StateChangeReason', '')}"
            if status.get("AthenaError", {}).get("Retryable"):
                raise Unavailable(f"{told}; try again later.")
            raise QueryError(told)
        sleep(pause)
        pause = min(pause * 2, _LAST_PAUSE)
