"""Files that are not applied are in no run, and are reported."""

import ast
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePath

import dagster as dg
import pytest

from lake_assets.applied_files import applied_folder, write_applied
from lake_assets.catalog.texts import Catalog, read_texts
from lake_assets.home import Home
from lake_assets.operations.unapplied import edited, unapplied
from lake_assets.orchestration.definitions import build_definitions
from lake_assets.orchestration.keys import staging_key
from lake_assets.project import read_files
from lake_assets.settings import PROJECT, Settings, load_settings
from lake_assets.stack.stream import stream_parts, stream_programs

# What writes or applies contracts, and what is deployed with a catalog of its own.
READERS = {
    "lake_assets.cli.new", "lake_assets.cli.new_mart", "lake_assets.cli.plan", "lake_assets.definitions",
    "lake_assets.warehouse.gcp.load_function", "lake_assets.operations.unapplied", "lake_assets.applied_files",
    "lake_assets.operations.wanted", "lake_assets.stack.container", "lake_assets.stack.starting", "stream_app.__main__",
}  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of a lake without servers whose catalog and dbt project are copies of the examples."""
    shutil.copytree(PROJECT / "lake_assets" / "catalog", tmp_path / "catalog", ignore=shutil.ignore_patterns("*.py"))
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "lake"))
    monkeypatch.setenv("LAKE_CATALOG", str(tmp_path / "catalog"))
    return load_settings()


@pytest.fixture
def applied(settings: Settings) -> Catalog:
    """The files as they are before a test changes them."""
    found = read_files(settings)
    return read_texts(
        {
            PurePath("applied") / asset.path.relative_to(settings.catalog): found.text(asset)
            for asset in found.assets.values()
        },
        {
            PurePath("applied") / one.path.relative_to(settings.catalog): found.text(one)
            for one in found.metrics.values()
        },
    )


def spoil(settings: Settings) -> None:
    """Break, change, remove and add a file each."""
    assets = settings.catalog / "assets"
    leads = (assets / "leads.yaml").read_text("utf-8")
    (assets / "leads.yaml").write_text(leads.replace("logicalType: string", "logicalTyp: string", 1), "utf-8")
    sales = (assets / "sales.yaml").read_text("utf-8")
    (assets / "sales.yaml").write_text(sales.replace("maximum: 1000", "maximum: 1", 1), "utf-8")
    (assets / "contracts.yaml").unlink()
    (assets / "clients.yaml").write_text(leads.replace("leads", "clients"), "utf-8")
    metric = settings.catalog / "metrics" / "sales_by_region.yaml"
    metric.write_text(metric.read_text("utf-8").replace("window:", "windw:"), "utf-8")


def test_nothing_is_reported_of_files_that_are_applied(settings: Settings, applied: Catalog) -> None:
    assert unapplied(settings, applied).sentences == []


def test_each_file_that_is_not_in_force_is_reported_with_its_reason(settings: Settings, applied: Catalog) -> None:
    spoil(settings)
    found = unapplied(settings, applied)
    assert (found.new, found.changed, found.missing) == (("clients",), ("sales",), ("contracts",))
    broken = "\n".join(found.broken)
    assert "leads.yaml:" in broken
    assert "logicalTyp" in broken
    assert "What is applied of leads runs on." in broken
    assert "What is applied of sales_by_region runs on." in broken
    text = "\n".join(found.sentences)
    assert "Not applied, so nothing of it runs: clients. Apply with `lake apply`." in text
    assert "The file is missing, what is applied runs on: contracts." in text
    (settings.catalog / "metrics" / "sales_by_region.yaml").unlink()
    assert unapplied(settings, applied).missing == ("contracts", "sales_by_region")
    assert edited(settings, applied, "sales") is not None
    assert edited(settings, applied, "leads") is None


def test_the_code_location_is_of_what_is_applied_and_shows_the_rest(settings: Settings, applied: Catalog) -> None:
    spoil(settings)
    definitions = build_definitions(replace(settings, dbt_project=settings.home / "none"), applied)
    keys = definitions.resolve_asset_graph().get_all_asset_keys()
    assert {staging_key(asset) for asset in applied.assets.values()} <= keys
    assert dg.AssetKey(["metrics", "sales_by_region"]) in keys
    assert not any("clients" in part for key in keys for part in key.path)
    assert "logicalTyp" in str((definitions.metadata or {})["not applied"].value)


def test_a_lake_without_anything_applied_has_a_code_location(settings: Settings) -> None:
    definitions = build_definitions(replace(settings, dbt_project=settings.home / "none"), Catalog())
    dg.Definitions.validate_loadable(definitions)


def test_the_processes_of_metrics_read_what_is_applied(settings: Settings, applied: Catalog) -> None:
    write_applied(settings, applied)
    spoil(settings)
    assert stream_parts(settings) == {"stream": (1, 1)}
    [program] = stream_programs(settings, Home(settings.home))
    assert program.environment["LAKE_CATALOG"] == str(applied_folder(settings))
    read = read_files(replace(settings, catalog=applied_folder(settings)))
    assert (read.assets.keys(), read.problems) == (applied.assets.keys(), ())
    write_applied(settings, Catalog())
    assert stream_parts(settings) == {}


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_files_of_the_catalog_are_read_by_what_applies_them_only() -> None:
    modules = [path for package in ("lake_assets", "stream_app") for path in (PROJECT / package).rglob("*.py")]
    found = {
        str(path.relative_to(PROJECT).with_suffix("")).replace("/", ".")
        for path in modules
        if "lake_assets.project" in imports_of(path)
    }
    assert found == READERS
