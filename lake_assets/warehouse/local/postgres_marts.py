"""The marts' schemas in Postgres, which role analyst may read."""

from collections.abc import Sequence

import psycopg

from lake_assets.advisory_locks import explain_lock_waits
from lake_assets.compile.grants import mart_grants
from lake_assets.settings import Settings


class PostgresMarts:
    """A `MartAccess` over the lake's own Postgres; see `MartAccess` for what each method promises."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def check(self) -> None:
        return

    def missing(self, schemas: Sequence[str]) -> list[str]:
        with self._session() as session:
            rows = session.execute(
                "select name from unnest(%s::text[]) as wanted (name) left join pg_namespace on nspname = name "
                "where nspname is null or not has_schema_privilege('analyst', nspname, 'usage') order by name",
                [list(schemas)],
            ).fetchall()
        return [name for (name,) in rows]

    def ensure(self, schemas: Sequence[str]) -> None:
        statements = mart_grants(schemas)
        with self._session() as session, explain_lock_waits(session):
            for statement in statements:
                session.execute(statement.encode())

    def tables(self) -> list[str]:
        with self._session() as session:
            rows = session.execute(
                "select nspname || '.' || relname from pg_class as relation "
                "inner join pg_namespace as schema on schema.oid = relation.relnamespace "
                "where nspname like '%\\_data\\_mart' and relkind in ('r', 'v', 'm', 'p') "
                "and relname !~ '__dbt_(tmp|backup)$' order by 1"  # those of a build that goes on, or was killed
            ).fetchall()
        return [name for (name,) in rows]

    def _session(self) -> psycopg.Connection:
        try:
            return psycopg.connect(self._settings.postgres.conninfo("lake"))
        except psycopg.OperationalError as error:
            raise self._settings.postgres.not_reached(error) from error
