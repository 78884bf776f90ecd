"""Analysts with a name: a login of Postgres for each, with the rights and limits of role `analyst`.

The embedded server only: on another one, its administrator makes logins.
"""

import re
import secrets
import shlex
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from lake_assets.catalog.names import name_problem
from lake_assets.dbt.environment import DRAFTS, OWN_SCHEMA, dbt_state
from lake_assets.errors import LakeError
from lake_assets.home import Home
from lake_assets.settings import Settings
from lake_assets.stack.addresses import read_addresses
from lake_assets.stack.passwords import ROLES, write_private
from lake_assets.stack.roles import NAMED, NAMED_CONNECTIONS, limit_analyst, set_password

# Of the embedded server's 200 connections: with those of roles, the lake's own are left.
MOST_ANALYSTS = 60 // NAMED_CONNECTIONS
# With the prefix of its schema, and room for what tools append.
_LONGEST = 40
_SCHEMAS: LiteralString = """
select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint, count(c.oid)
from pg_namespace n left join pg_class c on c.relnamespace = n.oid and c.relkind in ('r', 'v', 'm', 'f')
where n.nspname = %s
"""


class AnalystError(LakeError):
    """An analyst cannot be added or removed; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Analyst:
    """A person's login. `tables` and `bytes` are those of the drafts in Postgres."""

    name: str
    schema: str
    tables: int
    bytes: int
    sessions: int
    folder: Path

    @property
    def has_files(self) -> bool:
        return (self.folder / "pgpass").exists()


def add_analyst(settings: Settings, name: str) -> Analyst:
    """Create login, schema and files of an analyst, or complete them. Raises AnalystError."""
    problem = name_problem(name, _LONGEST)
    if problem:
        # The hint about payload keys is for fields.
        sentence = problem.replace(" (a field keeps its key in physicalName)", "")
        raise AnalystError(f"'{name}' cannot be the name of an analyst: it {sentence}")
    if name in ROLES or name.startswith("pg_"):
        raise AnalystError(f"'{name}' cannot be the name of an analyst: a role of the server has it.")
    schema, folder = DRAFTS + name, settings.postgres.folder_of_analyst(name)
    with _server(settings) as server:
        existing = server.execute(NAMED).fetchall()
        is_new = (name,) not in existing
        if is_new and server.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone():
            raise AnalystError(f"'{name}' cannot be the name of an analyst: a role of the server has it.")
        if is_new and len(existing) >= MOST_ANALYSTS:
            raise AnalystError(
                f"there are {len(existing)} analysts, the most for which the server has connections: remove one."
            )
        # The file is first: with it, a command that dies after this step is completed by its repetition.
        password = _write_files(settings, name, folder)
        with server.transaction():
            if is_new:
                _run(server, "create role {} nologin", name)
            _run(server, "grant analyst to {} with inherit true, set false", name)
            # Lets the lake end sessions that keep a mart from being replaced.
            _run(server, "grant {} to lake with inherit true, set false", name)
            limit_analyst(server, name)
            _run(server, "create schema if not exists {} authorization {}", schema, name)
            _run(server, "alter role {} in database {} set search_path = {}", name, settings.postgres.dbname, schema)
            set_password(server, name, password)
    return next(analyst for analyst in list_analysts(settings) if analyst.name == name)


def list_analysts(settings: Settings) -> list[Analyst]:
    """Return all analysts with a login, by name."""
    analysts: list[Analyst] = []
    with _server(settings) as server:
        for (name,) in server.execute(NAMED + " order by 1").fetchall():
            folder = settings.postgres.folder_of_analyst(name)
            size, tables = server.execute(_SCHEMAS, [DRAFTS + name]).fetchone() or (0, 0)
            sessions = server.execute("select count(*) from pg_stat_activity where usename = %s", [name]).fetchone()
            analysts.append(Analyst(name, DRAFTS + name, tables, size, sessions[0] if sessions else 0, folder))
    return analysts


def remove_analyst(settings: Settings, name: str, *, force: bool = False) -> None:
    """Delete login, schema, drafts and files of an analyst. Raises AnalystError.

    Drafts are deleted with `force` only.
    """
    analyst = next((analyst for analyst in list_analysts(settings) if analyst.name == name), None)
    folder, drafts = settings.postgres.folder_of_analyst(name), dbt_state(settings) / "own" / (DRAFTS + name)
    if not re.fullmatch(r"\w+", name) or (analyst is None and not folder.exists()):
        raise AnalystError(f"there is no analyst '{name}': `lake analyst list` has their names.")
    own_file = drafts / "personal.duckdb"
    if not force and ((analyst and analyst.tables) or own_file.exists()):
        places = [f"{analyst.tables} tables in {analyst.schema}"] if analyst and analyst.tables else []
        places += [str(own_file)] if own_file.exists() else []
        raise AnalystError(f"'{name}' has drafts ({', '.join(places)}): delete them too with --force.")
    if analyst is not None:
        with _server(settings) as server:
            # No new session begins while the others end.
            _run(server, "alter role {} nologin", name)
            server.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = %s", [name])
            with server.transaction():
                _run(server, "drop schema if exists {} cascade", analyst.schema)
                _run(server, "drop owned by {} cascade", name)
                _run(server, "drop role {}", name)
    shutil.rmtree(drafts, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # others have files there
        folder.parent.rmdir()


def _server(settings: Settings) -> "psycopg.Connection":
    """Return a session of the embedded server's administrator. Raises AnalystError on another server, Unavailable."""
    if settings.target != "local":
        raise AnalystError("on a cloud target analysts log in with their own accounts: name them in LAKE_ANALYSTS.")
    if read_addresses(Home(settings.home)).get("postgres") == "external":
        raise AnalystError(
            "this lake uses an external Postgres: let its administrator create the login, as a member of role analyst."
        )
    try:
        return psycopg.connect(settings.postgres.conninfo("lake_admin"), autocommit=True)
    except psycopg.OperationalError as error:
        raise settings.postgres.not_reached(error) from error


def _write_files(settings: Settings, name: str, folder: Path) -> str:
    """Write passfile and environment of an analyst; return the password, which stays the same."""
    postgres, passfile = settings.postgres, folder / "pgpass"
    written = passfile.read_text("utf-8").strip() if passfile.exists() else ""
    # URL-safe characters: libpq's passfile needs no escape for them.
    password = written.rpartition(":")[2] or secrets.token_urlsafe(24)
    for private in (folder.parent, folder):
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
        private.chmod(0o700)
    write_private(passfile, f"{postgres.host}:{postgres.port}:{postgres.dbname}:{name}:{password}\n")
    connection = conninfo_to_dict(postgres.conninfo_of_analyst(name))
    variables = {
        "PGHOST": postgres.host,
        "PGPORT": str(postgres.port),
        "PGDATABASE": postgres.dbname,
        "PGUSER": name,
        "PGPASSFILE": str(passfile),
        OWN_SCHEMA: DRAFTS + name,
        "LAKE_HOME": str(settings.home),
        # For dbt itself, with the profiles of the project, where the home cannot be read.
        "LAKE_DBT_TARGET": "analyst",
        "LAKE_POSTGRES_ANALYST": " ".join(f"{key}={connection[key]}" for key in ("host", "port", "dbname", "user")),
    }
    exports = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in variables.items())
    write_private(
        folder / "environment", f"# Login of analyst {name}: `source` this file, then use psql or lake-dbt.\n{exports}"
    )
    return password


def _run(server: "psycopg.Connection", statement: LiteralString, *names: str) -> None:
    server.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
