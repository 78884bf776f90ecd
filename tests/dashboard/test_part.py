"""The dashboard as a part of `lake up`, without starting it."""

from dataclasses import replace
from pathlib import Path

import pytest

from lake_assets.home import Home
from lake_assets.settings import Settings, load_settings
from lake_assets.stack.dashboard import PART, dashboard_program, has_dashboard
from lake_assets.stack.health import checks
from lake_assets.stack.starting import Start


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    return load_settings()


def test_dashboard_is_a_part_of_local_lakes_only(settings: Settings) -> None:
    assert has_dashboard(settings, {})
    assert not has_dashboard(replace(settings, target="aws"), {})


def test_part_that_is_left_out_stays_out_until_it_is_wanted(settings: Settings, tmp_path: Path) -> None:
    layout = Home(settings.home)
    layout.create()
    start = Start(layout, "java", tmp_path, lambda _: None)

    def parts(without: tuple[str, ...] | None) -> set[str]:
        """Return where the part is after a start: among the programs that run, and among the health checks."""
        addresses = start._addresses(without)
        programs = start._programs(load_settings(), addresses)
        return {
            name
            for name, names in (("programs", programs), ("checks", checks(load_settings(), layout)))
            if PART in names
        }

    assert parts(()) == {"programs", "checks"}
    # `lake apply` and `lake demo` start parts too, and do not bring it back.
    assert [parts((PART,)), parts(None)] == [set(), set()]
    assert parts(()) == {"programs", "checks"}


def test_address_is_on_this_machine_and_stays(settings: Settings, tmp_path: Path) -> None:
    layout = Home(settings.home)
    layout.create()
    start = Start(layout, "java", tmp_path, lambda _: None)
    ports = [start._addresses(())["dashboard_port"] for _ in range(2)]
    assert ports[0] == ports[1]
    assert load_settings().dashboard_address == f"http://127.0.0.1:{ports[0]}"


def test_program_gets_only_the_places_of_boards_and_marts(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAKE_POSTGRES_DSN", "LAKE_KAFKA_PASSWORD_FILE", "PGPASSWORD", "LAKE_DBT_PROJECT"):
        monkeypatch.setenv(name, "secret")
    environment = dashboard_program(settings, Home(settings.home)).environment
    assert environment.keys() == {"LAKE_HOME", "LAKE_DBT_PROJECT"}
