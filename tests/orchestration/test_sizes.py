"""The size of everything that grows."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from lake_assets.cli.status import command
from lake_assets.operations.sizes import read_sizes
from lake_assets.settings import load_settings


def test_sizes_are_those_of_the_files_by_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    names = ("kafka/crm.leads-0/0.log", "kafka/crm.leads-1/0.log", "kafka/metric-x-late-0/0.log")
    names += (
        "kafka/control-crm-0/0.log",
        "kafka/meta.properties",
        "bucket/raw/a/b.parquet",
        "logs/kafka.log",
        "tmp/x/y",
    )
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(10**number))
    sizes = {size.what: size.bytes for size in read_sizes(load_settings())}
    assert sizes == {
        "topics of assets": 11,
        "topics metric-…": 100,
        "topics control-…": 1_000,
        "bucket, raw": 100_000,
        "bucket, conformed": 0,
        "bucket, staging": 0,
        "logs": 1_000_000,
        "logs of Dagster's runs": 0,
        "lineage events": 0,
        "spilled rows": 10_000_000,
    }


def test_sizes_of_a_running_lake_have_a_bound_each(postgres: object) -> None:
    shown = CliRunner().invoke(command, ["--sizes", "--json"], catch_exceptions=False)
    entries = json.loads(shown.output)
    assert all(entry["bound"] for entry in entries)
    assert {"largest metadata of a raw table", "database lake, schema raw"} <= {entry["what"] for entry in entries}
