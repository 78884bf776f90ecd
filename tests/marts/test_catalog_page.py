"""The catalog page of a lake that was never started: contracts and dbt project are all that there is."""

import shutil
from pathlib import Path

import pytest

from lake_assets.dbt.environment import dbt_state
from lake_assets.dbt.manifest import load_manifest
from lake_assets.home import socket_path
from lake_assets.operations.catalog_page.collect import collect
from lake_assets.operations.catalog_page.document import ColumnSource, JsonSource
from lake_assets.settings import Settings, load_settings
from tests.support.catalog_documents import NOW


@pytest.fixture
def not_started(lake: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Another lake of the same project, with its manifest; its dbt is the session's, which needs no start."""
    load_manifest(lake)
    shutil.copytree(dbt_state(lake) / "shared", tmp_path / "dbt" / "local" / "shared")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "dbt.sock").write_text(str(socket_path(lake.home, "dbt.sock")), "utf-8")
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    return load_settings()


def test_page_without_postgres_has_contracts_and_lineage(not_started: Settings) -> None:
    assert not_started.postgres.port == 0
    document = collect(not_started, NOW)
    assert [asset.name for asset in document.assets] == ["contracts", "leads", "sales"]
    assert not document.has_figures
    assert all(asset.figures is None for asset in document.assets)
    [note] = document.notes
    assert "are left out: Postgres did not answer" in note
    funnel = next(mart for mart in document.marts if mart.name == "funnel_data_mart.funnel")
    assert funnel.lineage_problem is None
    sources = {column.name: column.sources for column in funnel.columns}
    assert sources["origin"] == (ColumnSource("field", "leads", "origin", JsonSource("key", ("origin",)), ()),)
    assert [(source.table, source.column) for source in sources["revenue_eur"] or ()] == [
        ("contracts", "amount"),
        ("contracts", "currency"),
    ]
    assert [board.name for board in funnel.boards] == ["Funnel report"]
    assert (funnel.grain, len(funnel.unit_tests)) == (("origin", "month"), 3)
