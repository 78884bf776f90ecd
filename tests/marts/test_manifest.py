"""Interrupted calls of dbt are no judgement of the project that it reads."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lake_assets.dbt import manifest as dbt_manifest
from lake_assets.dbt.environment import dbt_state
from lake_assets.dbt.manifest import DbtProjectError, dbt_executable, load_manifest, project_problem
from lake_assets.settings import Settings, load_settings

MODEL = "select 1 as one"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return the settings of a lake whose dbt project has one model and nothing else."""
    project = tmp_path / "dbt"
    (project / "models").mkdir(parents=True)
    (project / "models" / "one.sql").write_text(MODEL, "utf-8")
    (project / "dbt_project.yml").write_text("name: lake\nprofile: lake\nmodel-paths: [models]\n", "utf-8")
    shutil.copy(load_settings().dbt_project / "profiles.yml", project)
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKE_DBT_PROJECT", str(project))
    return replace(load_settings(), home=tmp_path / "home", dbt_project=project)


def interrupt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, times: int, ending: str) -> None:
    """Let the next calls of dbt end like this, each after it was counted; then they are dbt's again."""
    calls, script = tmp_path / "calls", tmp_path / "lake-dbt"
    script.write_text(
        f'#!/bin/sh\necho >> {calls}\n[ $(wc -l < {calls}) -gt {times} ] || {ending}\nexec {dbt_executable()} "$@"\n',
        "utf-8",
    )
    script.chmod(0o700)
    monkeypatch.setattr(dbt_manifest, "dbt_executable", lambda: str(script))


# By the kernel before it could answer, by an interrupt that it forwards, and by one that dbt takes for its own end.
@pytest.mark.parametrize("ending", ["kill -9 $$", "exit 130", "exit 1"])
def test_a_dbt_that_was_ended_once_is_asked_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    interrupt(monkeypatch, tmp_path, 1, ending)
    assert "model.lake.one" in load_manifest(settings)["nodes"]
    assert project_problem(settings) is None


def test_a_dbt_that_is_always_ended_is_asked_again_by_the_next_caller(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once this was kept as the project's mistake, without a word about it, until a file changed."""
    interrupt(monkeypatch, tmp_path, 3, "kill -9 $$")
    with pytest.raises(DbtProjectError, match=r"dbt was ended 3 times \(exit code -9\)\. No mart is built"):
        load_manifest(settings)
    assert "model.lake.one" in load_manifest(settings)["nodes"]
    assert project_problem(settings) is None


def test_a_mistake_is_read_once_until_a_file_changes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = settings.dbt_project / "models" / "one.sql"
    model.write_text("select {{ nothing( }}", "utf-8")
    for _ in range(2):
        with pytest.raises(DbtProjectError, match=r"cannot be parsed: .*one\.sql"):
            load_manifest(settings)
    interrupt(monkeypatch, tmp_path, 0, "true")
    with pytest.raises(DbtProjectError):
        load_manifest(settings)
    assert not (tmp_path / "calls").exists()
    model.write_text(MODEL, "utf-8")
    assert "model.lake.one" in load_manifest(settings)["nodes"]


def test_only_what_has_changed_is_read_again(settings: Settings) -> None:
    """The profile had the spill folder of the call in it, and dbt reads all again when its profile has changed."""
    for number in range(5):
        (settings.dbt_project / "models" / f"other_{number}.sql").write_text(MODEL, "utf-8")
    load_manifest(settings)
    (settings.dbt_project / "models" / "one.sql").write_text(f"{MODEL}, 2 as two", "utf-8")
    assert "2 as two" in load_manifest(settings)["nodes"]["model.lake.one"]["raw_code"]
    report = json.loads((dbt_state(settings) / "parse" / "perf_info.json").read_text("utf-8"))
    assert {project["project_name"]: project["parsed_path_count"] for project in report["projects"]}["lake"] == 1
