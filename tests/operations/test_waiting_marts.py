"""Sentences about marts that wait for their next build."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lake_assets.catalog.model import Asset
from lake_assets.operations import waiting_marts as module
from lake_assets.operations.waiting_marts import waiting_marts
from lake_assets.project import read_files
from lake_assets.settings import Settings, load_settings

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
MART, STAGING = ("sales_data_mart", "sales"), ("sales_staging", "sales")


def model(name: str, schema: str, materialized: str) -> dict[str, Any]:
    return {
        "unique_id": f"model.lake.{name}",
        "schema": schema,
        "alias": name,
        "config": {"materialized": materialized},
    }


MANIFEST: dict[str, Any] = {
    "sources": {"source.lake.sales": {"schema": STAGING[0], "name": STAGING[1]}},
    "child_map": {
        "source.lake.sales": ["model.lake.stg_sales"],
        "model.lake.stg_sales": ["model.lake.sales"],
        "model.lake.sales": [],
    },
    "nodes": {
        "model.lake.stg_sales": model("stg_sales", "staging", "ephemeral"),
        "model.lake.sales": model("sales", MART[0], "table"),
    },
}


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(module, "stored_manifest", lambda _: MANIFEST)
    return replace(load_settings(), mart_minutes=60)


@pytest.fixture
def sales(lake: Settings) -> Asset:
    return read_files(lake).assets["sales"]


def built(monkeypatch: pytest.MonkeyPatch, **minutes: float) -> None:
    """Let mart and staging table be built so many minutes after noon."""
    keys = {"mart": MART, "staging": STAGING}
    builds = {keys[name]: NOON.timestamp() + 60 * minute for name, minute in minutes.items()}
    monkeypatch.setattr(module, "read_builds", lambda *_: builds)


def test_waiting_mart_is_named_with_the_time_of_its_next_build(
    lake: Settings, sales: Asset, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(monkeypatch, mart=0, staging=5)
    [mart] = waiting_marts(lake, [sales], NOON + timedelta(minutes=10))
    assert str(mart).startswith("sales_data_mart.sales waits until 2026-11-01T13:00:00+00:00 for its newest rows")
    assert "`lake run`" in str(mart)


@pytest.mark.parametrize(
    ("mart", "staging", "minute"), [(5, 0, 10), (0, 5, 60), (None, 5, 10)], ids=["new", "due", "never built"]
)
def test_mart_that_is_new_or_due_does_not_wait(
    lake: Settings, sales: Asset, monkeypatch: pytest.MonkeyPatch, mart: float | None, staging: float, minute: int
) -> None:
    built(monkeypatch, staging=staging, **({} if mart is None else {"mart": mart}))
    assert waiting_marts(lake, [sales], NOON + timedelta(minutes=minute)) == []


def test_nothing_waits_where_each_change_is_built(sales: Asset, monkeypatch: pytest.MonkeyPatch) -> None:
    built(monkeypatch, mart=0, staging=5)
    assert waiting_marts(replace(load_settings(), mart_minutes=0), [sales], NOON) == []
