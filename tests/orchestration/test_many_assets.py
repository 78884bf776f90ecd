"""The number of requests and statements of commands follows what changed, and not how many assets there are."""

import shutil
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
import requests
from confluent_kafka.admin import AdminClient

from lake_assets.applied_files import applied_folder
from lake_assets.compile.connector import ConnectorSpec
from lake_assets.landing import acls, topics
from lake_assets.landing.broker import client_config, quiet
from lake_assets.landing.connect import connector_for
from lake_assets.ledger.applied import applied_catalog
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations import apply_plan
from lake_assets.operations.apply import apply
from lake_assets.operations.apply_plan import plan_apply
from lake_assets.operations.apply_steps import Step
from lake_assets.operations.audit import audit
from lake_assets.operations.backlog import backlog
from lake_assets.orchestration.dagster_records import DagsterRecords
from lake_assets.settings import PROJECT, Settings
from lake_assets.warehouse.local import ducklake
from tests.support.connect_api import remove_connectors

DOMAIN = "crowd"
LEADS = (PROJECT / "lake_assets" / "catalog" / "assets" / "leads.yaml").read_text("utf-8")
FEW, MANY = 2, 9
KAFKA = (
    *("list_topics", "describe_configs", "create_topics", "incremental_alter_configs", "list_offsets"),
    *("describe_acls", "create_acls"),
)


class CountedSession:
    """A DuckDB session that counts its statements."""

    def __init__(self, session: duckdb.DuckDBPyConnection, counts: Counter[str]) -> None:
        self._session, self._counts = session, counts

    def execute(self, *arguments: Any) -> duckdb.DuckDBPyConnection:
        self._counts["DuckDB"] += 1
        return self._session.execute(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def __enter__(self) -> "CountedSession":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()


@dataclass
class Counted:
    """A lake whose clients count what they send."""

    settings: Settings
    counts: Counter[str] = field(default_factory=Counter[str])

    def write(self, count: int, version: str = "1.0.0") -> None:
        """Write this number of contracts, of which the first one has this version."""
        for number in range(count):
            text = LEADS.replace("crm", DOMAIN).replace("name: leads\n", f"name: crowd_{number}\n")
            text = text.replace("version: 1.0.0", f"version: {version}") if number == 0 else text
            (self.settings.catalog / "assets" / f"crowd_{number}.yaml").write_text(text, "utf-8")

    def during(self, call: Callable[[], object]) -> dict[str, int]:
        self.counts.clear()
        call()
        return dict(self.counts)

    def apply(self) -> list[Step]:
        return apply(self.settings, DagsterRecords(self.settings), lambda _: None).steps


@pytest.fixture
def lake(stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Counted]:
    ignored = shutil.ignore_patterns("target", "logs", "models")
    shutil.copytree(PROJECT / "dbt_project", tmp_path / "dbt", ignore=ignored)
    (tmp_path / "catalog" / "assets").mkdir(parents=True)
    counted = Counted(replace(stack, catalog=tmp_path / "catalog", dbt_project=tmp_path / "dbt"))
    counts = counted.counts

    class Admin(AdminClient):
        def __getattribute__(self, name: str) -> Any:
            if name in KAFKA:
                counts[f"Kafka {name}"] += 1
            return super().__getattribute__(name)

    def count(owner: Any, name: str, what: str) -> None:
        call = getattr(owner, name)

        def counting(*arguments: Any, **named: Any) -> Any:
            counts[what] += 1
            return call(*arguments, **named)

        monkeypatch.setattr(owner, name, counting)

    connect = ducklake.connect
    monkeypatch.setattr(topics, "admin", lambda settings: Admin(client_config(settings), logger=quiet()))
    monkeypatch.setattr(ducklake, "connect", lambda *a, **named: CountedSession(connect(*a, **named), counts))
    count(psycopg.Cursor, "execute", "Postgres")
    count(psycopg.Cursor, "executemany", "Postgres")
    count(requests, "request", "Connect")
    with nothing_else_applied(stack):
        yield counted
    remove_connectors(stack, f"raw-{DOMAIN}")


@contextmanager
def nothing_else_applied(stack: Settings) -> Generator[None]:
    """Put aside what other tests have applied."""
    with Ledger(stack) as ledger:
        ledger.ensure_schema()
        for table in ("contract", "metric"):
            ledger.connection.execute(f"create temp table {table}_aside as table ledger.{table}".encode())
            ledger.connection.execute(f"delete from ledger.{table}".encode())
        copy, aside = applied_folder(stack), applied_folder(stack).with_name("aside")
        if copy.exists():
            copy.rename(aside)
        yield
        shutil.rmtree(copy, ignore_errors=True)
        if aside.exists():
            aside.rename(copy)
        for table in ("contract", "metric"):
            ledger.connection.execute(f"delete from ledger.{table}".encode())
            ledger.connection.execute(f"insert into ledger.{table} table {table}_aside".encode())
            ledger.connection.execute(f"drop table {table}_aside".encode())


def changes(settings: Settings) -> list[Step]:
    """Return the steps that are left to apply; the session's Postgres may have marts of other tests' projects."""
    return [step for step in plan_apply(settings).steps if (step.kind, step.action) != ("mart", "keep")]


def test_cost_follows_what_changed_and_not_the_number_of_assets(lake: Counted) -> None:
    counts: list[dict[str, dict[str, int]]] = []
    for number, assets in enumerate((FEW, MANY), start=1):
        lake.write(assets, f"1.{number}.0")
        lake.apply()
        lake.write(assets, f"1.{number}.1")
        changed = lake.during(lake.apply)
        # A connector is asked for its state until it runs, however often that is.
        del changed["Connect"]
        assert changes(lake.settings) == []
        applied = list(applied_catalog(lake.settings).assets.values())
        assert len(applied) == assets
        backlog(lake.settings, applied)
        counts.append(
            {
                "apply, one changed": changed,
                "plan": lake.during(lambda: plan_apply(lake.settings)),
                "status": lake.during(lambda listed=applied: backlog(lake.settings, listed)),
            }
        )
    few, many = counts
    assert few == many


def test_observing_unchanged_tables_writes_nothing(lake: Counted) -> None:
    def versions() -> list[tuple[str, int]]:
        with Ledger(lake.settings) as ledger:
            return ledger.connection.execute("select asset, xmin::text from ledger.raw_cursor order by 1").fetchall()

    lake.write(FEW)
    lake.apply()
    applied = list(applied_catalog(lake.settings).assets.values())
    backlog(lake.settings, applied)
    before = versions()
    assert {asset.name for asset in applied} <= {name for name, _ in before}
    backlog(lake.settings, applied)
    assert versions() == before


def test_audit_opens_no_table_that_holds_nothing(lake: Counted) -> None:
    lake.write(MANY)
    lake.apply()
    applied = list(applied_catalog(lake.settings).assets.values())
    opened = [lake.during(lambda listed=applied[:count]: audit(lake.settings, listed))["DuckDB"] for count in (1, MANY)]
    assert opened[0] == opened[1]


def test_topic_that_is_closed_to_producers_is_opened_by_apply(lake: Counted) -> None:
    lake.write(2)
    lake.apply()
    settings, topic = lake.settings, f"{DOMAIN}.crowd_0"
    acls.end_writing(topics.admin(settings), settings.kafka_producer, [topic])
    [step] = changes(settings)
    assert (step.kind, step.name, step.action) == ("topic", topic, "grant")
    lake.apply()
    assert topic in acls.writable_topics(topics.admin(settings), settings.kafka_producer)
    assert changes(settings) == []


def test_a_connector_that_fails_stops_nothing_else_of_an_apply(lake: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> ConnectorSpec:
        spec = connector_for(*arguments)
        return replace(spec, config={**spec.config, "iceberg.catalog.catalog-impl": "no.such.Catalog"})

    lake.write(1)
    with monkeypatch.context() as patched:
        patched.setattr(apply_plan, "connector_for", broken)
        outcome = apply(lake.settings, DagsterRecords(lake.settings), lambda _: None)
    assert "no.such.Catalog" in outcome.failed
    assert list(applied_catalog(lake.settings).assets) == ["crowd_0"]
    assert [(step.kind, step.action) for step in changes(lake.settings)] == [("connector", "change")]
    lake.apply()
    assert changes(lake.settings) == []
