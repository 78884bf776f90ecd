"""The real job on each service: from a Dagster step through the service's client library to Spark, and back."""

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from lake_assets.catalog.window_results import WindowInput
from lake_assets.orchestration.spark_pipes import SparkAnswer, conform_on_spark, spark_details
from lake_assets.settings import Settings
from tests.support.conform_records import ORDERS, Record, write_raw
from tests.support.doubles.machine import Machine
from tests.support.spark_places import Place, open_place

pytestmark = pytest.mark.server


@pytest.fixture(params=["emr-serverless", "emr-made", "dataproc-made", "dataproc-batch"])
def place(
    request: pytest.FixtureRequest, settings: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> Generator[Place]:
    place = open_place(request.param, machine, settings, monkeypatch.setenv)
    yield place
    place.close()


def orders(count: int, bad: int) -> list[Record]:
    good = {"ordered_at": "2026-01-01T10:00:00Z", "region": "north"}
    payloads = [{**good, "order_id": f"o{number}"} for number in range(count)]
    return [Record(json.dumps(payload).encode()) for payload in (*payloads, *([{**good, "region": "x"}] * bad))]


def test_a_step_conforms_on_the_service_and_gets_its_answer(place: Place, settings: Settings, tmp_path: Path) -> None:
    write_raw(tmp_path / "raw.parquet", orders(200, 3))
    windows = [WindowInput("2026-01-01", (str(tmp_path / "raw.parquet"),), 203, 1)]
    made = list[SparkAnswer]()
    limited = replace(settings, spark=replace(settings.spark, timeout=300))

    @dg.asset
    def conformed(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        runner: Any = replace(place.fresh(), interval=0.2)
        made.append(conform_on_spark(context, limited, runner, ORDERS, windows))
        return dg.MaterializeResult()

    dg.materialize([conformed])
    [answered] = made
    [output] = answered.answer.outputs
    assert (output.raw_rows, output.good, output.quarantined) == (203, 200, 3)
    assert sum(pq.read_metadata(path.removeprefix("file://")).num_rows for path in output.good_files) == 200
    assert not answered.answer.failed
    assert place.log in str(spark_details(answered)["spark_log"])
    assert spark_details(answered)["spark_cost"]
    assert place.alive() <= place.given
