"""Analysts with a name: the rights and limits of role analyst, a schema of their own, and nothing else."""

import stat
import subprocess
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest

from lake_assets.dbt.environment import dbt_environment, dbt_state
from lake_assets.home import Home
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.reader_priority import LOWEST, limit_readers
from lake_assets.settings import Settings, load_settings
from lake_assets.stack import analysts
from lake_assets.stack.analysts import AnalystError, add_analyst, list_analysts, remove_analyst
from lake_assets.stack.roles import bootstrap
from tests.support.conditions import wait_until
from tests.support.forbidden_statements import FORBIDDEN
from tests.support.mart_rows import Dbt

LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "temp_file_limit")


@pytest.fixture(scope="module")
def _people(session_lake: Settings) -> Generator[None]:
    for name in ("ann", "ben"):
        add_analyst(session_lake, name)
    yield
    for name in ("ann", "ben"):
        remove_analyst(session_lake, name, force=True)
    assert list_analysts(session_lake) == []
    assert not session_lake.postgres.folder_of_analyst("ann").parent.exists()


@pytest.fixture
def people(built: Settings, _people: None) -> Settings:
    return built


def login(lake: Settings, name: str) -> psycopg.Connection:
    return psycopg.connect(lake.postgres.conninfo_of_analyst(name), autocommit=True)


def test_named_analyst_reads_marts_and_writes_to_an_own_schema_only(people: Settings) -> None:
    with login(people, "ann") as ann, login(people, "ben") as ben:
        assert ann.execute("select count(*) from sales_data_mart.sales").fetchone() > (0,)
        ann.execute("create table regions as select distinct region from sales_data_mart.sales")
        assert ann.execute("select count(*) from dev_ann.regions").fetchone() == (2,)
        for statement in ("select * from dev_ann.regions", "create table dev_ann.mine (i integer)", "set role ann"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                ben.execute(statement.encode())


def test_named_analyst_is_refused_all_that_role_analyst_is(people: Settings) -> None:
    with login(people, "ann") as ann:
        for statement in (*FORBIDDEN, "set role analyst", "alter role ann connection limit 100"):
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)):
                ann.execute(statement.encode())


def limits(session: psycopg.Connection) -> list[object]:
    return [session.execute(f"show {name}".encode()).fetchone() for name in LIMITS]


def test_named_analyst_has_the_limits_of_role_analyst(people: Settings) -> None:
    with login(people, "ann") as ann, psycopg.connect(people.postgres.conninfo("analyst")) as analyst:
        assert limits(ann) == limits(analyst)
        assert ("256MB",) in limits(ann)
        [(connections,)] = ann.execute("select rolconnlimit from pg_roles where rolname = 'ann'").fetchall()
    assert connections == 5


def test_start_of_the_lake_gives_named_analysts_the_current_limits(people: Settings) -> None:
    with psycopg.connect(people.postgres.conninfo("lake_admin"), autocommit=True) as admin:
        admin.execute("alter role ann reset all")
        admin.execute("alter role ann connection limit -1")
    bootstrap(people.postgres, people.postgres.conninfo("lake_admin", "postgres"), {}, embedded=True)
    test_named_analyst_has_the_limits_of_role_analyst(people)


def test_log_of_postgres_names_the_analyst(people: Settings) -> None:
    with login(people, "ann") as ann, pytest.raises(psycopg.errors.UndefinedTable):
        ann.execute("select * from nothing_of_that_name")
    log = Home(people.home).log("postgres")
    line = 'ann@lake 42P01 ERROR:  relation "nothing_of_that_name" does not exist'
    wait_until(lambda: line in log.read_text("utf-8"), 10)


def test_sessions_of_a_named_analyst_have_the_lowest_priority(people: Settings) -> None:
    with login(people, "ann") as ann, Ledger(people) as lake:
        limit_readers(lake)
        sessions = (ann, lake.connection)
        assert [psutil.Process(session.info.backend_pid).nice() for session in sessions] == [LOWEST, 0]


def test_named_analyst_keeps_no_mart_from_being_replaced(people: Settings, dbt: Dbt) -> None:
    """A transaction left open is ended; a view on the mart is dropped with the old one, and a table stays."""
    idle = "select from pg_stat_activity where usename = 'ben' and state_change < clock_timestamp() - interval '5 s'"
    with login(people, "ann") as ann:
        ann.execute("create view of_the_mart as select * from sales_data_mart.sales")
        ann.execute("create table copied as select * from sales_data_mart.sales")
        with login(people, "ben") as ben, psycopg.connect(people.postgres.conninfo("lake"), autocommit=True) as lake:
            ben.autocommit = False
            ben.execute("select count(*) from sales_data_mart.sales")
            wait_until(lambda: lake.execute(idle).fetchone() is not None)
            dbt("--quiet", "run", "--select", "sales")
            with pytest.raises(psycopg.OperationalError):
                ben.execute("select 1")
        tables = ann.execute("select relname from pg_class where relnamespace = 'dev_ann'::regnamespace").fetchall()
    assert ("copied",) in tables
    assert ("of_the_mart",) not in tables


def test_environment_file_logs_psql_and_dbt_in_as_the_analyst(people: Settings, dbt: Dbt) -> None:
    folder = people.postgres.folder_of_analyst("ann")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder.parent, folder)] == [0o700, 0o700]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    shown = subprocess.run(
        ["/bin/sh", "-c", f". {folder}/environment && env"], capture_output=True, text=True, check=True
    ).stdout
    variables = dict(line.partition("=")[::2] for line in shown.splitlines())
    given = {name: variables[name] for name in variables if name.startswith("PG")}
    assert (folder / "pgpass").read_text("utf-8").strip().rpartition(":")[2] not in shown
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        with psycopg.connect() as session:
            assert session.execute("select session_user").fetchone() == ("ann",)
    environment = dbt_environment(people, {"LAKE_DBT_SCHEMA": variables["LAKE_DBT_SCHEMA"]})
    assert environment["LAKE_POSTGRES_ANALYST"] == people.postgres.conninfo_of_analyst("ann")
    other = dbt_environment(people, {"LAKE_DBT_SCHEMA": "dev_dora"})
    assert other["LAKE_POSTGRES_ANALYST"] == people.postgres.conninfo("analyst")


def test_adding_an_analyst_again_keeps_the_password_and_completes(people: Settings) -> None:
    folder = people.postgres.folder_of_analyst("ann")
    before = (folder / "pgpass").read_text("utf-8")
    with psycopg.connect(people.postgres.conninfo("lake_admin"), autocommit=True) as admin:
        admin.execute("revoke analyst from ann")
        admin.execute("grant analyst to ann")
        admin.execute("alter role ann nologin")
    (folder / "environment").unlink()
    assert add_analyst(people, "ann").schema == "dev_ann"
    assert (folder / "pgpass").read_text("utf-8") == before
    assert (folder / "environment").exists()
    login(people, "ann").close()


def test_removed_analyst_cannot_log_in_and_leaves_nothing(people: Settings) -> None:
    def traces() -> set[str]:
        with psycopg.connect(people.postgres.conninfo("lake_admin"), autocommit=True) as admin:
            query = "select rolname::text from pg_roles union select nspname from pg_namespace where nspname !~ '^pg_t'"
            settings = (
                "union select setrole::text from pg_db_role_setting union select member::text from pg_auth_members"
            )
            rows = admin.execute(f"{query} {settings}".encode()).fetchall()
        files = [path for path in people.home.rglob("*carl*") if "target" not in path.parts]
        return {row for (row,) in rows} | set(map(str, files))

    before = traces()
    add_analyst(people, "carl")
    conninfo = people.postgres.conninfo_of_analyst("carl")
    copied = (people.postgres.folder_of_analyst("carl") / "pgpass").read_text("utf-8").strip().rpartition(":")[2]
    session = psycopg.connect(conninfo, autocommit=True)
    session.execute("create table mine as select 1 as i")
    session.execute("create function f() returns integer language sql as 'select 1'")
    own = dbt_state(people) / "own" / "dev_carl"
    own.mkdir(parents=True)
    (own / "personal.duckdb").touch()
    with pytest.raises(
        AnalystError, match=r"'carl' has drafts \(1 tables in dev_carl, .*personal.duckdb\): .* --force"
    ):
        remove_analyst(people, "carl")
    session.execute("select 1")
    remove_analyst(people, "carl", force=True)
    with pytest.raises(psycopg.OperationalError):
        session.execute("select 1")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"{conninfo} password={copied}")
    assert traces() == before
    login(people, "ann").close()
    with pytest.raises(AnalystError, match="there is no analyst 'carl'"):
        remove_analyst(people, "carl")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Ann", "'Ann' cannot be the name of an analyst: it is not a name: .* such as 'ann'"),
        ("../ann", "is not a name"),
        ("select", r"is a reserved word of SQL; use another, such as 'select_'\.$"),
        ("analyst", "a role of the server has it"),
        ("lake_admin", "a role of the server has it"),
        ("pg_read_all_data", "a role of the server has it"),
        (41 * "a", "has 41 characters"),
    ],
)
def test_name_that_no_analyst_can_have_is_refused(name: str, sentence: str, lake: Settings) -> None:
    with pytest.raises(AnalystError, match=sentence):
        add_analyst(lake, name)


def test_analysts_end_where_the_lakes_own_connections_begin(people: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysts, "MOST_ANALYSTS", 2)
    with pytest.raises(AnalystError, match="there are 2 analysts, the most"):
        add_analyst(people, "carl")
    assert not people.postgres.folder_of_analyst("carl").exists()


def test_another_server_is_left_to_its_administrator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    (tmp_path / "stack.json").write_text('{"postgres": "external"}', "utf-8")
    settings = load_settings()
    with pytest.raises(AnalystError, match="uses an external Postgres"):
        add_analyst(settings, "ann")
    with pytest.raises(AnalystError, match="on a cloud target"):
        add_analyst(replace(settings, target="gcp"), "ann")
    assert not settings.postgres.folder_of_analyst("ann").exists()
