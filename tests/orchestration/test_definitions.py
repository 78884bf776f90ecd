"""Definitions of many assets share what Dagster takes long to make, and each step still has its own asset."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.orchestration import assets as module
from lake_assets.orchestration.assets import EVERY_WINDOW_MADE, ROWS_MATCH, WindowSteps, conforming_definition
from lake_assets.orchestration.keys import staging_key
from lake_assets.orchestration.raw_checks import readable_checks
from lake_assets.settings import PROJECT, load_settings

TEXT = (PROJECT / "lake_assets" / "catalog" / "assets" / "leads.yaml").read_text("utf-8")
NAMES = ("crowd_a", "crowd_b", "crowd_c")


@pytest.fixture
def crowd() -> dict[str, Asset]:
    return {name: parse_contract(TEXT.replace("name: leads\n", f"name: {name}\n"), Path(name)) for name in NAMES}


def test_assets_with_the_same_outputs_share_one_op(crowd: dict[str, Asset]) -> None:
    steps = WindowSteps(load_settings())
    definitions = [conforming_definition(load_settings(), asset, steps) for asset in crowd.values()]
    ops = {id(op) for definition in definitions for op in definition.node_def.iterate_op_defs()}
    assert len(ops) == 1


def test_checks_of_all_raw_tables_are_one_definition(crowd: dict[str, Asset]) -> None:
    assert len(readable_checks(load_settings(), list(crowd.values())).check_keys) == len(crowd)


def test_shared_step_builds_the_asset_of_its_run(crowd: dict[str, Asset], monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    def build(
        context: dg.AssetExecutionContext, _: Any, asset: Asset, keys: Mapping[str, dg.AssetKey]
    ) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
        built.append(asset.name)
        for output in keys:
            yield dg.Output(None, output)
        for check in (ROWS_MATCH, EVERY_WINDOW_MADE, *(check.name for check in asset.checks)):
            yield dg.AssetCheckResult(asset_key=staging_key(asset), check_name=check, passed=True)

    monkeypatch.setattr(module, "_build_windows", build)
    steps = WindowSteps(load_settings())
    definitions = [conforming_definition(load_settings(), asset, steps) for asset in crowd.values()]
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            definitions, instance=instance, selection=[staging_key(crowd["crowd_b"]), *_others(crowd["crowd_b"])]
        )
    assert result.success
    assert built == ["crowd_b"]
    assert {event.step_key for event in result.all_events if event.step_key} == {"conform_crowd_b.build_windows"}
    assert {evaluation.asset_key for evaluation in result.get_asset_check_evaluations()} == {
        staging_key(crowd["crowd_b"])
    }


def _others(asset: Asset) -> list[dg.AssetKey]:
    return [key(asset) for output, key in module.TABLE_KEYS.items() if output != "staging"]
