"""Dagster's processes of one lake: they answer, take over changes, and a run whose process is missing is found."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
import requests
import yaml
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, EventLogEntry
from dagster._core.launcher.base import WorkerStatus

from lake_assets.home import Home
from lake_assets.ledger.ledger import Ledger
from lake_assets.project import read_files
from lake_assets.settings import PROJECT, load_settings
from lake_assets.stack import run_launcher
from lake_assets.stack.dagster import code_socket, prepare_dagster
from lake_assets.stack.lifecycle import PartStatus, down, reload_definitions, status, up
from lake_assets.stack.run_launcher import WatchedRunLauncher
from lake_assets.stack.supervisor import owned_processes
from lake_assets.web_key import read_key
from tests.support.conditions import wait_until
from tests.support.server_marker import starts_server
from tests.support.web_keys import dagster_login

PARTS = ["daemon", "webserver"]


@pytest.fixture(scope="module")
@starts_server
def dagster_lake() -> Generator[Path]:
    """A lake of its own with Postgres and Dagster; `LAKE_HOME` names it."""
    home = Path(tempfile.mkdtemp(prefix="lake-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_HOME", str(home))
        try:
            up(parts=PARTS)
            yield home
        finally:
            down()
            shutil.rmtree(home)


def parts() -> dict[str, PartStatus]:
    return {part.name: part for part in status()}


def shown_assets() -> list[list[str]]:
    address = f"http://127.0.0.1:{load_settings().dagster_port}/graphql"
    login = dagster_login(load_settings().home)
    answer = requests.post(address, json={"query": "{assetNodes{assetKey{path}}}"}, headers=login, timeout=60)
    return [node["assetKey"]["path"] for node in answer.json()["data"]["assetNodes"]]


def test_files_that_are_not_applied_are_no_assets_and_storage_is_postgres(dagster_lake: Path) -> None:
    for part in ("postgres", "code", "daemon", "webserver"):
        assert (part, parts()[part].health) == (part, None)
    assert shown_assets() == [["leftovers"]]
    assert not list(dagster_lake.rglob("*.db"))


def test_neither_telemetry_nor_the_dialog_of_the_community_is_on(tmp_path: Path) -> None:
    layout = Home(tmp_path)
    layout.dagster.mkdir(parents=True)
    prepare_dagster(load_settings(), layout)
    written = yaml.safe_load((layout.dagster / "dagster.yaml").read_text("utf-8"))
    assert written["telemetry"] == written["nux"] == {"enabled": False}


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_the_web_ui_refuses_other_hosts_and_pages(dagster_lake: Path, headers: dict[str, str]) -> None:
    address = f"http://127.0.0.1:{load_settings().dagster_port}/graphql?query={{version}}"
    login = dagster_login(dagster_lake)
    assert requests.post(address, headers={**login, **headers}, timeout=60).status_code == requests.codes.forbidden
    assert requests.post(address, headers=login, timeout=60).status_code == requests.codes.ok


def test_the_web_ui_answers_only_who_can_read_the_key(dagster_lake: Path) -> None:
    """Any user of the machine could launch and delete runs at this port."""
    address, key = f"http://127.0.0.1:{load_settings().dagster_port}", read_key(Home(dagster_lake).dagster_key)
    for path in ("/", "/runs", "/graphql?query={version}"):
        assert requests.get(f"{address}{path}", timeout=60).status_code == requests.codes.unauthorized
    assert requests.get(f"{address}/server_info", timeout=60).status_code == requests.codes.ok
    with requests.Session() as browser:
        assert browser.get(f"{address}/?key={key}", timeout=60).url.startswith(f"{address}/")
        assert "version" in browser.get(f"{address}/graphql?query={{version}}", timeout=60).text
    file = Home(dagster_lake).dagster_key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for process in owned_processes(Home(dagster_lake)):
        assert key not in " ".join(process.cmdline())
    # What it wrote about these requests, and all else that is no secret of the lake.
    written = [path for path in dagster_lake.rglob("*") if path.is_file() and path.parent != file.parent]
    assert [path for path in written if key.encode() in path.read_bytes()] == []


def test_the_code_server_is_reached_by_this_user_only(dagster_lake: Path) -> None:
    listening = {
        connection.laddr.port
        for process in owned_processes(Home(dagster_lake))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    settings = load_settings()
    assert listening == {settings.dagster_port, settings.postgres.port}
    folder = code_socket(Home(dagster_lake)).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_reload_of_definitions_restarts_only_the_code_server(dagster_lake: Path) -> None:
    before, files = parts(), read_files(load_settings())
    with Ledger(load_settings()) as ledger:
        ledger.ensure_schema()
        for asset in files.assets.values():
            ledger.save_contract(asset, files.text(asset))
    reload_definitions()
    after = parts()
    assert after["code"].pid != before["code"].pid
    for part in ("postgres", "daemon", "webserver"):
        assert after[part].pid == before[part].pid
    wait_until(lambda: len(shown_assets()) > 3)


def test_runs_fork_from_one_thread_with_the_applied_definitions(dagster_lake: Path) -> None:
    with Ledger(load_settings()) as ledger:
        applied = len(ledger.contracts())
    probe = [sys.executable, "-m", "tests.support.forked_run"]
    assert subprocess.check_output(probe, text=True, cwd=PROJECT).split() == ["1", str(applied), "True"]
    code = psutil.Process(parts()["code"].pid)

    def is_ready() -> bool:
        """Return True if the code server's own has finished its imports, some of which begin threads."""
        servers = [child for child in code.children() if "multiprocessing.forkserver" in " ".join(child.cmdline())]
        return [server.num_threads() for server in servers] == [1]

    wait_until(is_ready)


def test_a_changed_setting_reaches_the_parts_that_read_it_and_no_other(
    dagster_lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = parts()
    assert launch_is_permitted()
    monkeypatch.setenv("LAKE_SPARK_MEMORY", "3g")
    monkeypatch.setenv("LAKE_DAGSTER_READ_ONLY", "on")
    up(parts=PARTS)
    after = parts()
    assert after["postgres"].pid == before["postgres"].pid
    for part in ("code", "daemon", "webserver"):
        assert after[part].pid != before[part].pid
    assert not launch_is_permitted()


def launch_is_permitted() -> bool:
    """Return Dagster's answer to the question whether its pages may launch runs."""
    address = f"http://127.0.0.1:{load_settings().dagster_port}/graphql"
    login = dagster_login(load_settings().home)
    answer = requests.post(address, json={"query": "{permissions{permission value}}"}, headers=login, timeout=60)
    permissions = {entry["permission"]: entry["value"] for entry in answer.json()["data"]["permissions"]}
    return permissions["launch_pipeline_execution"]


def test_a_run_is_alive_as_long_as_the_process_that_started_it(tmp_path: Path) -> None:
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        launcher = WatchedRunLauncher()
        launcher.register_instance(instance)
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        run = instance.add_run(DagsterRun(job_name="job"))
        assert launcher.check_run_worker_health(run).status == WorkerStatus.UNKNOWN
        _report_start(instance, run, process.pid)
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
        process.kill()
        process.wait(10)
        assert launcher.check_run_worker_health(run).status == WorkerStatus.FAILED


def test_hung_run_is_killed_when_it_heeds_no_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_launcher, "GRACE_SECONDS", 0.1)
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        launcher = WatchedRunLauncher()
        launcher.register_instance(instance)
        process = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        run = instance.add_run(DagsterRun(job_name="job"))
        _report_start(instance, run, process.pid)
        launcher.terminate(run.run_id)
        assert process.wait(30) == -signal.SIGKILL
        launcher.terminate(run.run_id)


def test_run_ends_at_its_longest_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKE_RUN_SECONDS", "120")
    layout = Home(tmp_path)
    layout.create()
    prepare_dagster(load_settings(), layout)
    config = yaml.safe_load((layout.dagster / "dagster.yaml").read_text("utf-8"))
    assert config["run_monitoring"]["enabled"] is True
    assert config["run_monitoring"]["max_runtime_seconds"] == 120


def test_a_later_process_of_the_same_number_is_not_the_run(tmp_path: Path) -> None:
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        launcher = WatchedRunLauncher()
        launcher.register_instance(instance)
        run = instance.add_run(DagsterRun(job_name="job"))
        _report_start(instance, run, os.getpid(), seconds_ago=86_400)
        assert launcher.check_run_worker_health(run).status == WorkerStatus.FAILED


def _report_start(instance: DagsterInstance, run: DagsterRun, pid: int, seconds_ago: float = 0) -> None:
    event = DagsterEvent(event_type_value=DagsterEventType.RUN_START.value, job_name="job", pid=pid)
    entry = EventLogEntry(
        error_info=None,
        level=20,
        user_message="",
        run_id=run.run_id,
        timestamp=time.time() - seconds_ago,
        job_name="job",
        dagster_event=event,
    )
    instance.event_log_storage.store_event(entry)
