"""One graph on every target, and nothing asked of any of them to know it."""

import json
import socket
from pathlib import Path
from typing import Any, NoReturn

import pytest

from lake_assets.orchestration.definitions import build_definitions
from lake_assets.project import read_files
from lake_assets.settings import SettingsError, load_settings
from lake_assets.target_profiles import TARGETS

BUCKETS = {"local": "", "gcp": "gs://lake", "aws": "s3://lake"}


def graph_on(target: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The keys of assets and checks."""
    monkeypatch.setenv("LAKE_TARGET", target)
    monkeypatch.setenv("LAKE_GCP_PROJECT", "project")
    monkeypatch.setenv("LAKE_GCP_LOCATION", "EU")
    if BUCKETS[target]:
        monkeypatch.setenv("LAKE_BUCKET", BUCKETS[target])
    graph = build_definitions(load_settings(), read_files(load_settings())).resolve_asset_graph()
    return {str(key) for key in graph.get_all_asset_keys()} | {str(key) for key in graph.asset_check_keys}


def test_assets_and_checks_are_the_same_on_each_target_without_a_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*args: Any) -> NoReturn:
        raise AssertionError(f"something connects: {args}")

    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "lake"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    graphs = {target: graph_on(target, monkeypatch) for target in TARGETS}
    assert any("funnel_data_mart" in key for key in graphs["local"])
    assert graphs["gcp"] == graphs["aws"] == graphs["local"]


def test_a_lake_knows_its_target_when_the_environment_does_not_set_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    for name in ("LAKE_TARGET", "LAKE_BUCKET", "LAKE_GCP_PROJECT", "LAKE_GCP_LOCATION"):
        monkeypatch.delenv(name, raising=False)
    kept = {"target": "gcp", "bucket": "gs://lake", "gcp_project": "shop", "gcp_location": "EU"}
    (tmp_path / "stack.json").write_text(json.dumps(kept), "utf-8")
    settings = load_settings()
    assert (settings.target, settings.bucket) == ("gcp", "gs://lake")
    assert (settings.gcp.project, settings.gcp.location) == ("shop", "EU")
    (tmp_path / "stack.json").unlink()
    monkeypatch.setenv("LAKE_TARGET", "gcp")
    with pytest.raises(SettingsError, match="LAKE_GCP_PROJECT"):
        load_settings()
