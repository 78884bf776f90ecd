"""Single tables of marts in Postgres: what would be lost with one, and its end."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from lake_assets.advisory_locks import explain_lock_waits
from lake_assets.errors import LakeError
from lake_assets.settings import Settings

_READERS = """\
select distinct reader.oid::regclass::text
from pg_depend as dependency
inner join pg_rewrite as rule on rule.oid = dependency.objid
inner join pg_class as reader on reader.oid = rule.ev_class
where dependency.classid = 'pg_rewrite'::regclass and dependency.refclassid = 'pg_class'::regclass
  and dependency.refobjid = %(table)s::regclass and reader.oid <> dependency.refobjid
order by 1"""
# By Postgres's letter.
_KINDS = {"r": sql.SQL("table"), "v": sql.SQL("view"), "m": sql.SQL("materialized view")}


@dataclass(frozen=True, slots=True)
class MartTable:
    """A table of marts: its number of rows, and the views that read it."""

    rows: int
    readers: tuple[str, ...]


def describe_table(settings: Settings, schema: str, table: str) -> MartTable:
    """Return rows and readers of an existing table or view. Raises Unavailable."""
    name = sql.Identifier(schema, table)
    with _session(settings) as session:
        counted = session.execute(sql.SQL("select count(*) from {}").format(name)).fetchone()
        readers = session.execute(_READERS, {"table": name.as_string(session)}).fetchall()
    return MartTable(counted[0] if counted else 0, tuple(reader for (reader,) in readers))


def drop_table(settings: Settings, schema: str, table: str) -> None:
    """Drop a table or view, if it is still there. Raises LakeError if a view reads it, Unavailable."""
    name = sql.Identifier(schema, table)
    with _session(settings) as session, explain_lock_waits(session):
        kinds = session.execute("select relkind from pg_class where oid = to_regclass(%s)", [name.as_string(session)])
        if (kind := kinds.fetchone()) is None:
            return
        try:
            session.execute(sql.SQL("drop {} {}").format(_KINDS.get(kind[0], _KINDS["r"]), name))
        except psycopg.errors.DependentObjectsStillExist as error:
            raise LakeError(f"{schema}.{table} is read by a view: {error.diag.message_detail}") from error


def _session(settings: Settings) -> psycopg.Connection:
    try:
        return psycopg.connect(settings.postgres.conninfo("lake"))
    except psycopg.OperationalError as error:
        raise settings.postgres.not_reached(error) from error
