"""Databases, roles and grants in the lake's Postgres, created idempotently at each start."""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, LiteralString

from lake_assets.errors import LakeError
from lake_assets.settings import Postgres, Role

if TYPE_CHECKING:
    import psycopg

# The tables of Iceberg's JDBC catalog, schema version 1, as both Iceberg (Java) and pyiceberg create them.
RAW_CATALOG: LiteralString = """
create schema if not exists raw authorization lake;
create table if not exists raw.iceberg_tables (
  catalog_name varchar(255) not null,
  table_namespace varchar(255) not null,
  table_name varchar(255) not null,
  metadata_location varchar(1000),
  previous_metadata_location varchar(1000),
  iceberg_type varchar(5),
  primary key (catalog_name, table_namespace, table_name)
);
create table if not exists raw.iceberg_namespace_properties (
  catalog_name varchar(255) not null,
  namespace varchar(255) not null,
  property_key varchar(255) not null,
  property_value varchar(1000),
  primary key (catalog_name, namespace, property_key)
);
alter table raw.iceberg_tables owner to lake;
alter table raw.iceberg_namespace_properties owner to lake;
grant usage on schema raw to connect;
grant select, insert, update, delete on raw.iceberg_tables, raw.iceberg_namespace_properties to connect;
"""
# Each commit to a raw table moves its pointer here. The sensor waits for the notification: see `raw_commits`.
NOTIFY_COMMITS: LiteralString = """
create or replace function raw.notify_commit() returns trigger language plpgsql as $$
begin
  notify raw_commits;
  return null;
end
$$;
alter function raw.notify_commit() owner to lake;
create or replace trigger notify_commit after update of metadata_location on raw.iceberg_tables
  for each statement execute function raw.notify_commit();
"""


# Ends a wait for a lock of Postgres; the ledger's sessions, which wait for whole runs, set their own.
LOCK_TIMEOUT: LiteralString = "10min"
# Settings of each role. Temporary files of 20 sessions of analysts take 5 GB at most: more than the page cache can hold
# would keep the disk busy, for everyone.
SETTINGS: dict[str, dict[LiteralString, LiteralString]] = {
    "analyst": {
        "statement_timeout": "10min",
        "lock_timeout": "30s",
        "idle_in_transaction_session_timeout": "10min",
        "temp_file_limit": "256MB",
        "max_parallel_workers_per_gather": "0",
    },
    "engineer": {
        "default_transaction_read_only": "on",
        "statement_timeout": "1h",
        "lock_timeout": "30s",
        "idle_in_transaction_session_timeout": "10min",
        "temp_file_limit": "256MB",
        "max_parallel_workers_per_gather": "0",
    },
    "connect": {
        "statement_timeout": "10min",
        "lock_timeout": "1min",
        "idle_in_transaction_session_timeout": "10min",
        "temp_file_limit": "5GB",
    },
    "lake": {"lock_timeout": LOCK_TIMEOUT},
    "dagster": {"lock_timeout": LOCK_TIMEOUT},
}
# Limits for people and sinks, of the embedded server's 200 connections: their queries must not take the lake's.
CONNECTIONS = {"analyst": 20, "engineer": 20, "connect": 60}
# Analysts with a name: members of role analyst whose sessions the lake may end, as it may those of the role itself.
NAMED: LiteralString = """
select rolname::text from pg_roles where rolname not in ('lake', 'analyst', 'lake_admin')
  and pg_has_role(oid, 'analyst', 'usage') and pg_has_role('lake', oid, 'usage')
"""
# Connections of each: of a BI tool and a shell.
NAMED_CONNECTIONS = 5
# Read access to everything that role `lake` owns now or later: the catalogs, the ledger, marts and metrics.
READ: LiteralString = """
alter default privileges for role lake grant usage on schemas to engineer;
alter default privileges for role lake grant select on tables to engineer;
do $$
declare
  s name;
begin
  for s in select nspname from pg_namespace where nspowner = 'lake'::regrole and nspname !~ '^pg_'
  loop
    execute format('grant usage on schema %I to engineer', s);
    execute format('grant select on all tables in schema %I to engineer', s);
  end loop;
end
$$
"""
# The lake's own locks are advisory ones; PUBLIC could take them and stop every run.
LOCKS: LiteralString = """
do $$
declare
  f regprocedure;
begin
  for f in select oid from pg_proc where pronamespace = 'pg_catalog'::regnamespace
    and proname ~ '^pg_((try_)?advisory_.*|logical_emit_message)$'
  loop
    execute format('revoke execute on function %s from public', f);
    execute format('grant execute on function %s to lake', f);
  end loop;
end
$$
"""


class RolesError(LakeError):
    """The server's roles do not belong to this lake."""


def bootstrap(postgres: Postgres, admin: str, passwords: Mapping[str, str], embedded: bool) -> None:
    """Create missing databases, roles and grants. Raises RolesError.

    `admin` is a libpq connection string of a role that may create roles and databases. On an external server
    (`embedded` false) only this lake's own databases and roles are changed.
    """
    import psycopg

    with psycopg.connect(admin, autocommit=True) as server:
        for role in ("lake", "connect", "dagster", "engineer", "analyst"):
            if not server.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone():
                if role not in passwords:
                    raise RolesError(
                        f"There is no password for role '{role}', which this version adds: run `passwords HOST PORT` "
                        "again and mount the new `pgpass`."
                    )
                _make_role(server, role, passwords[role])
            elif not embedded:
                _check_password(role, postgres)
        for role, settings in SETTINGS.items():
            _limit(server, role, settings, CONNECTIONS.get(role))
        for (name,) in server.execute(NAMED).fetchall():
            limit_analyst(server, name)
        # A member may end the sessions of a role: those that keep a mart from being replaced.
        with suppress(psycopg.errors.InsufficientPrivilege):
            server.execute("grant analyst, engineer to lake")
        for database, owner in ((postgres.dbname, "lake"), ("dagster", "dagster")):
            _make_database(server, database, owner)
        _run(server, "grant connect on database {} to connect, engineer, analyst", postgres.dbname)
        # The Iceberg sink's catalog is in this schema, whichever URL it gets.
        _run(server, "alter role connect in database {} set search_path = raw", postgres.dbname)
        if embedded:
            server.execute("revoke all on database postgres, template1 from public")
    with psycopg.connect(admin, dbname=postgres.dbname, autocommit=True) as lake:
        lake.execute("revoke all on schema public from public")
        if embedded:
            # Any role may create large objects, of any size, without other grants.
            lake.execute("revoke execute on function lo_creat, lo_create, lo_from_bytea from public")
            lake.execute(LOCKS)
        lake.execute(RAW_CATALOG)
        lake.execute(NOTIFY_COMMITS)
        lake.execute(READ)
    with psycopg.connect(admin, dbname="dagster", autocommit=True) as dagster:
        dagster.execute("alter schema public owner to dagster")
        dagster.execute("revoke all on schema public from public")


def own_database(admin: str, name: str, password: str) -> None:
    """Create a role and a database of that name for a program outside the lake. Does nothing if they exist."""
    import psycopg

    with psycopg.connect(admin, autocommit=True) as server:
        if not server.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone():
            _make_role(server, name, password)
        _make_database(server, name, name)


def external_address(dsn: str) -> dict[str, int | str]:
    """Return the address of an external server for stack.json, from the admin's connection string; no password."""
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(dsn)
    host, port = str(parts.get("host") or "127.0.0.1"), int(parts.get("port") or 5432)
    return {"postgres": "external", "postgres_host": host, "postgres_port": port}


def set_password(server: "psycopg.Connection", role: str, password: str) -> None:
    """Let the role log in with this password."""
    from psycopg import sql

    # The server gets the SCRAM verifier, so that no statement in its log contains the password.
    verifier = server.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    server.execute(sql.SQL("alter role {} login password {}").format(sql.Identifier(role), sql.Literal(verifier)))


def limit_analyst(server: "psycopg.Connection", name: str) -> None:
    """Set the limits of role analyst for one with a name: a member inherits rights, and no settings."""
    _limit(server, name, SETTINGS["analyst"], NAMED_CONNECTIONS)


def _make_role(server: "psycopg.Connection", role: str, password: str) -> None:
    with server.transaction():
        _run(server, "create role {}", role)
        set_password(server, role, password)


def _limit(
    server: "psycopg.Connection",
    role: str,
    settings: Mapping[LiteralString, LiteralString],
    connections: int | None,
) -> None:
    """Set settings and limits of a role. An administrator who is no superuser may not limit temporary files."""
    import psycopg
    from psycopg import sql

    if connections:
        limit = sql.SQL("alter role {} connection limit {}")
        server.execute(limit.format(sql.Identifier(role), sql.Literal(connections)))
    for setting, value in settings.items():
        statement = sql.SQL("alter role {} set {} = {}").format(
            sql.Identifier(role), sql.Identifier(setting), sql.Literal(value)
        )
        with suppress(psycopg.errors.InsufficientPrivilege):
            server.execute(statement)


def _check_password(role: Role, postgres: Postgres) -> None:
    """Check that an existing role has this lake's password; raises RolesError."""
    import psycopg

    try:
        psycopg.connect(postgres.conninfo(role), connect_timeout=5).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise RolesError(
                f"The server at {postgres.host}:{postgres.port} has a role '{role}' whose password is not in "
                f"{postgres.passfile_of(role)}: use another server, or restore the passfile of the lake that made it."
            ) from None


def _make_database(server: "psycopg.Connection", database: str, owner: str) -> None:
    if not server.execute("select 1 from pg_database where datname = %s", [database]).fetchone():
        # An administrator who is not a superuser must be a member of the owner to give it a database.
        _run(server, "grant {} to current_user", owner)
        _run(server, "create database {} owner {}", database, owner)
    _run(server, "revoke all on database {} from public", database)


def _run(server: "psycopg.Connection", statement: LiteralString, *names: str) -> None:
    """Execute a statement with these names filled in, quoted where they need it."""
    from psycopg import sql

    server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
