"""One query for a person: as the engineer, who sees the whole lake, or as an analyst, who sees the marts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb
import psycopg

from lake_assets.errors import LakeError, Unavailable
from lake_assets.settings import Settings
from lake_assets.warehouse.connection import connect


@dataclass(frozen=True, slots=True)
class Answer:
    """A query's rows; `more` says that there were more than asked for. Without columns the statement yields none."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    more: bool


class QueryError(LakeError):
    """The database refused the query; the message is its own, in one sentence."""


def ask_as_engineer(settings: Settings, query: str, limit: int | None) -> Answer:
    """Runs the query in DuckDB, with `lake` (staging, quarantine) and `serving` (Postgres) attached to be read only.

    Raises QueryError and Unavailable.
    """
    connection = connect(settings, read_only=True)
    try:
        _leave_out_database_names(connection)
        return _fetch(connection.execute(query), limit)
    except duckdb.Error as error:
        said = " ".join(str(error).split("\nLINE ")[0].split())
        raise QueryError(said if said.endswith("?") else f"{said.rstrip('.!')}.") from error
    finally:
        connection.close()


def ask_as_analyst(settings: Settings, query: str, limit: int | None) -> Answer:
    """Runs the query in Postgres as role analyst, in a read-only session. Raises QueryError and Unavailable."""
    if settings.postgres.port == 0:
        raise Unavailable("this lake has no Postgres yet: start it with `lake up`.")
    address = f"{settings.postgres.host}:{settings.postgres.port}"
    try:
        with psycopg.connect(
            settings.postgres.conninfo("analyst"), options="-c default_transaction_read_only=on -c timezone=UTC"
        ) as connection:
            return _fetch(connection.execute(query.encode()), limit)
    except psycopg.errors.InsufficientPrivilege as error:
        raise QueryError(f"analysts may read *_data_mart and metrics only: {_sentence(error)}.") from error
    except psycopg.OperationalError as error:
        raise Unavailable(f"Postgres at {address} does not answer: start it with `lake up`.") from error
    except psycopg.Error as error:
        raise QueryError(f"{_sentence(error)}.") from error


def _leave_out_database_names(connection: duckdb.DuckDBPyConnection) -> None:
    """Lets `leads_staging.leads` and `funnel_data_mart.funnel` be found without `lake.` and `serving.`.

    Postgres is asked, because DuckDB would load the description of every table to know the schemas.
    """
    schemas = connection.execute(
        """
        from postgres_query('serving', '
          select ''lake."'' || schema_name || ''"'' as name from ducklake.ducklake_schema where end_snapshot is null
          union all
          select ''serving."'' || nspname || ''"'' from pg_namespace where nspname not like ''pg\\_%''
          order by 1
        ')
        """
    ).fetchall()
    connection.execute(f"set search_path = '{','.join(name for (name,) in schemas)}'")


class _Cursor(Protocol):
    @property
    def description(self) -> Sequence[Any] | None: ...
    def fetchall(self) -> list[Any]: ...
    def fetchmany(self, size: int, /) -> list[Any]: ...


def _fetch(cursor: _Cursor, limit: int | None) -> Answer:
    if not cursor.description:
        return Answer((), (), more=False)
    columns = tuple(column[0] for column in cursor.description)
    rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit + 1)
    more = limit is not None and len(rows) > limit
    return Answer(columns, [[_readable(value) for value in row] for row in rows[:limit]], more)


def _readable(value: Any) -> Any:
    """Payloads and keys are bytes that mostly hold text."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _sentence(error: psycopg.Error) -> str:
    hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
    return f"{error.diag.message_primary or str(error).strip()}{hint}".rstrip(".")
