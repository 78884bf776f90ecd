"""Raw tables whose catalog is AWS Glue: the sink writes them and the lake reads them."""

import json
from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_assets.bucket import read
from lake_assets.catalog.model import Asset
from lake_assets.compile.connector import ConnectorSpec
from lake_assets.compile.raw_table import raw_table
from lake_assets.compile.topic import control_topic, topic_spec
from lake_assets.landing.changes import Cursor, changes
from lake_assets.landing.compaction import compact
from lake_assets.landing.connect import connector_for, ensure_connector
from lake_assets.landing.files import files, window_rows
from lake_assets.landing.produce import produce_lines
from lake_assets.landing.raw_tables import compare_raw_tables, ensure_raw_tables
from lake_assets.landing.topics import ensure_topics
from lake_assets.settings import Settings
from tests.support.buckets import s3
from tests.support.conditions import wait_until
from tests.support.connect_api import remove_connectors
from tests.support.landed_records import wait_for_rows
from tests.support.raw_assets import example_asset


@pytest.fixture(scope="module")
def on_aws(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Generator[Settings]:
    with s3(tmp_path_factory.mktemp("aws")) as bucket, pytest.MonkeyPatch.context() as patch:
        for name, value in bucket.environment.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL_GLUE", bucket.environment["AWS_ENDPOINT_URL_S3"])
        yield replace(stack, target="aws", bucket=bucket.url)
        remove_connectors(stack, "raw-glued")


def land(settings: Settings, asset: Asset, numbers: Iterable[int]) -> None:
    produce_lines(
        settings,
        asset,
        [json.dumps({"id": str(n), "at": f"2026-03-0{1 + n % 2}T10:00:00Z"}).encode() for n in numbers],
    )


def rows(settings: Settings, asset: Asset) -> list[dict[str, Any]]:
    """All that raw has, in the order of the topic."""
    found = files(settings, asset, window_rows(settings, asset)).by_window.values()
    contents = [pa.BufferReader(read(file.path) or b"") for held in found for file in held]
    listed = [row for content in contents for row in pq.read_table(content).to_pylist()]
    return sorted(listed, key=lambda row: row["_offset"])


def test_what_lands_is_found_by_glue(on_aws: Settings) -> None:
    assets = [example_asset(name, "glued", partitions=1) for name in ("meters", "readings")]
    assert changes(on_aws, assets, {}).windows == {}
    tables = [raw_table(asset) for asset in assets]
    assert [report.outcome for report in ensure_raw_tables(on_aws, tables)] == ["created", "created"]
    assert [report.outcome for report in compare_raw_tables(on_aws, tables)] == ["unchanged", "unchanged"]
    ensure_topics(on_aws, [*map(topic_spec, assets), control_topic("glued")])
    spec = connector_for(on_aws, "glued")
    # One task that commits each second, as on a laptop: a cloud's minute is too long for a test.
    local = {"iceberg.control.commit.interval-ms": "1000", "tasks.max": "1"}
    ensure_connector(on_aws, ConnectorSpec(spec.name, {**spec.config, **local}))
    for count, asset in enumerate(assets, 3):
        land(on_aws, asset, range(count))
    wait_until(lambda: [sum(window_rows(on_aws, asset).values()) for asset in assets] == [3, 4])
    found = changes(on_aws, assets, {})
    assert {name: [window.rows for window in windows] for name, windows in found.windows.items()} == {
        "meters": [2, 1],
        "readings": [2, 2],
    }
    paths = [file.path for window in files(on_aws, assets[0], ["2026-03-01"]).by_window.values() for file in window]
    assert paths
    assert all(path.startswith(f"{on_aws.raw_warehouse}/") for path in paths)
    assert changes(on_aws, assets, found.cursors).windows == {}


def test_small_files_are_written_together_in_a_table_of_glue(on_aws: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table and its connector are those of the test above."""
    monkeypatch.setattr("lake_assets.landing.compaction.MIN_FILES", 2)
    asset, window = example_asset("meters", "glued", partitions=1), "2026-03-01"
    for number in (10, 12):
        land(on_aws, asset, [number])
        wait_for_rows(on_aws, asset, 4 if number == 10 else 5)
    before, found = rows(on_aws, asset), changes(on_aws, [asset], {})
    done = compact(on_aws, asset, [window], [Cursor.parse(found.cursors["meters"])], lambda _: None)
    assert done is not None
    assert (done.before.count, done.after.count) == (3, 1)
    assert rows(on_aws, asset) == before
    assert changes(on_aws, [asset], found.cursors).windows == {}
    land(on_aws, asset, [14])
    wait_for_rows(on_aws, asset, 6)
    assert [row["_offset"] for row in rows(on_aws, asset)] == list(range(6))
    [late] = changes(on_aws, [asset], found.cursors).windows["meters"]
    assert (late.window, late.rows) == (window, 1)
