"""An analyst's query: run in the marts' Postgres as the role that BI tools use."""

import psycopg

from lake_assets.errors import Unavailable
from lake_assets.settings import Settings
from lake_assets.warehouse.results import QueryError, QueryResult, limit_rows


def query_as_analyst(settings: Settings, query: str, limit: int | None) -> QueryResult:
    """Run the query in Postgres as role analyst, in a read-only session. Raises QueryError and Unavailable."""
    if settings.postgres.port == 0:
        raise Unavailable("this lake has no Postgres yet: start it with `lake up`.")
    try:
        with psycopg.connect(
            settings.postgres.conninfo("analyst"), options="-c default_transaction_read_only=on -c timezone=UTC"
        ) as connection:
            cursor = connection.execute(query.encode())
            if not cursor.description:
                return QueryResult((), (), more=False)
            rows = cursor.fetchall() if limit is None else cursor.fetchmany(limit + 1)
            return limit_rows([column.name for column in cursor.description], rows, limit)
    except psycopg.errors.InsufficientPrivilege as error:
        raise QueryError(f"analysts may read *_data_mart and metrics only: {_sentence(error)}.") from error
    except psycopg.errors.UndefinedTable as error:
        raise QueryError(f"{_sentence(error)}: analysts may read *_data_mart and metrics only.") from error
    except psycopg.OperationalError as error:
        raise settings.postgres.not_reached(error) from error
    except psycopg.Error as error:
        raise QueryError(f"{_sentence(error)}.") from error


def _sentence(error: psycopg.Error) -> str:
    hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
    return f"{error.diag.message_primary or str(error).strip()}{hint}".rstrip(".")
