"""Places with a double behind them; what a double launches ends with its test."""

from collections.abc import Generator
from pathlib import Path

import pytest

from lake_assets.settings import Settings, load_settings
from tests.support.doubles.machine import Machine
from tests.support.spark_places import NAMES, Place, environment_archive, open_place


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of a lake of its own, whose bucket is a folder."""
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "lake"))
    monkeypatch.setenv("LAKE_SPARK_ENVIRONMENT", str(environment_archive(tmp_path / "environment.tar.gz")))
    for variable in ("LAKE_BUCKET", "LAKE_SPARK_CONF", "LAKE_SPARK_RUNNER", "LAKE_SPARK_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    return load_settings()


@pytest.fixture
def machine(tmp_path: Path) -> Generator[Machine]:
    machine = Machine(tmp_path / "machine")
    yield machine
    machine.close()


@pytest.fixture(params=NAMES)
def place(
    request: pytest.FixtureRequest, settings: Settings, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> Generator[Place]:
    opened = open_place(request.param, machine, settings, monkeypatch.setenv)
    yield opened
    opened.close()
