"""`lake-dbt` and the resident dbt behind it."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from lake_assets.dbt import client as dbt_client
from lake_assets.dbt import server as dbt_server
from lake_assets.dbt.environment import dbt_state
from lake_assets.dbt.manifest import dbt_executable
from lake_assets.home import Home
from lake_assets.settings import Settings
from lake_assets.stack.supervisor import Supervisor
from tests.support.conditions import wait_until
from tests.support.mart_rows import Dbt, call_dbt

# The first runs until it is stopped, as a large query does; the last prints its input.
MACROS = """
{% macro endless() %}
  {% do run_query("set threads = 1") %}
  {% do run_query("select count(*) from range(100000000) as a, range(100000000) as b where a.range * b.range = 7") %}
{% endmacro %}
{% macro fails() %}{% do run_query("select nothing") %}{% endmacro %}
{% macro show() %}{{ print("printed " ~ env_var('SHOW_THIS', 'nothing')) }}{% endmacro %}
"""


@pytest.fixture
def macros(lake: Settings) -> Generator[Path]:
    path = lake.dbt_project / "macros" / "for_tests.sql"
    path.write_text(MACROS, "utf-8")
    yield path
    path.unlink()


@pytest.fixture
def server(lake: Settings) -> psutil.Process:
    return psutil.Process(Supervisor(Home(lake.home)).processes()["dbt"]["pid"])


@contextmanager
def running(server: psutil.Process) -> Generator[subprocess.Popen[bytes]]:
    """A call that does not end by itself, once its query runs."""
    command = [dbt_executable(), "--quiet", "run-operation", "endless"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        wait_until(lambda: any(works(child) for child in dbt_children(server)))
        try:
            yield client
        finally:
            if client.poll() is None:
                client.kill()
    wait_until(lambda: not dbt_children(server))


def works(child: psutil.Process) -> bool:
    """DuckDB has been opened for the query; what dbt does before it is over in a moment."""
    with suppress(psutil.NoSuchProcess):
        return any("duckdb_extension" in mapped.path for mapped in child.memory_maps())
    return False


def dbt_children(server: psutil.Process) -> list[psutil.Process]:
    """Children that run dbt; the server also has the keeper of multiprocessing's locks."""
    found: list[psutil.Process] = []
    for child in server.children():
        with suppress(psutil.NoSuchProcess):  # which a zombie is, too
            if child.cmdline() == server.cmdline():
                found.append(child)
    return found


def test_dbts_exit_code_is_the_clients(macros: Path, lake: Settings) -> None:
    done = [call_dbt(lake, *args) for args in (["--quiet", "ls"], ["run-operation", "fails"], ["nonsense"])]
    assert [call.returncode for call in done] == [0, 1, 2]
    assert not any("Traceback" in call.stdout for call in done)


def test_a_call_has_its_callers_environment_folder_and_output(macros: Path, lake: Settings, dbt: Dbt) -> None:
    assert "printed something" in dbt("--quiet", "run-operation", "show", SHOW_THIS="something").stdout
    assert "printed nothing" in dbt("--quiet", "run-operation", "show").stdout, "nothing is left of the call before"
    command = [dbt_executable(), "--quiet", "ls", "--select", "sales", "--resource-type", "model"]
    here = {**os.environ, "DBT_PROJECT_DIR": "."}
    done = subprocess.run(command, env=here, cwd=lake.dbt_project, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "lake.marts.sales_data_mart.sales\n", "")
    elsewhere = subprocess.run(command, env=here, cwd="/", capture_output=True, text=True, check=False)
    assert elsewhere.returncode != 0


def test_a_changed_file_of_the_project_is_noticed(macros: Path, dbt: Dbt) -> None:
    assert "printed nothing" in dbt("--quiet", "run-operation", "show").stdout
    macros.write_text(MACROS.replace("printed ", "whispered "), "utf-8")
    assert "whispered nothing" in dbt("--quiet", "run-operation", "show").stdout


def test_calls_run_side_by_side(macros: Path, server: psutil.Process, lake: Settings) -> None:
    with running(server):
        assert call_dbt(lake, "--quiet", "ls", "--select", "sales").returncode == 0


def test_a_call_whose_client_dies_is_given_up(macros: Path, server: psutil.Process) -> None:
    with running(server) as client:
        client.kill()
        wait_until(lambda: not dbt_children(server))


def test_a_build_waits_for_one_whose_run_was_killed(lake: Settings, server: psutil.Process) -> None:
    """The call that a killed run leaves behind goes on: two at once would take each other's tables away."""
    model = lake.dbt_project / "models" / "marts" / "sales_data_mart" / "endless.sql"
    both = "range(100000000) as a, range(100000000) as b"
    # Without its columns in a contract, which dbt would fail at once.
    free = "{{ config(contract={'enforced': false}) }}"
    model.write_text(f"{free} select count(*) as n from {both} where a.range * b.range = 7")
    lock = dbt_state(lake) / "call.lock"
    command = [dbt_executable(), "--quiet", "run", "--select"]
    left = subprocess.Popen([*command, "endless"], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: any(works(child) for child in dbt_children(server)))
        following = subprocess.Popen([*command, "sales"], stdout=subprocess.DEVNULL)
        wait_until(lambda: opened_by(lock, server) == 2 or following.poll() is not None)
        assert following.poll() is None
    finally:
        left.kill()
        model.unlink()
    assert following.wait(120) == 0


def opened_by(lock: Path, server: psutil.Process) -> int:
    """Return the number of calls that have the lock's file open: one holds it, the others wait for it."""
    found = 0
    for child in dbt_children(server):
        with suppress(psutil.NoSuchProcess):
            found += str(lock) in {file.path for file in child.open_files()}
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_client_ends_the_call(macros: Path, server: psutil.Process, number: signal.Signals) -> None:
    with running(server) as client:
        client.send_signal(number)
        assert client.wait(60) != 0


def test_a_signal_is_repeated_until_dbt_obeys(monkeypatch: pytest.MonkeyPatch) -> None:
    """dbt once lost the only one that it was sent, in a callback that can raise nothing, and ran for ever."""

    class Obeyed(Exception):
        pass

    sent: list[int] = []

    def kill(_: int, number: int) -> None:
        sent.append(number)
        if len(sent) == 3:
            raise Obeyed

    monkeypatch.setattr(dbt_server.os, "kill", kill)
    monkeypatch.setattr(dbt_server, "STOP_SECONDS", 0.01)
    server_end, client_end = socket.socketpair()
    with server_end, client_end:
        client_end.sendall(bytes([signal.SIGTERM]))
        with pytest.raises(Obeyed):
            dbt_server._forward_signal(server_end)
    assert sent == [signal.SIGTERM, signal.SIGINT, signal.SIGINT]


@pytest.mark.fault("dbt is killed -9", "its run fails and reports it")
def test_a_child_that_is_killed_fails_its_call(macros: Path, server: psutil.Process) -> None:
    with running(server) as client:
        [child] = dbt_children(server)
        child.kill()
        assert client.wait(60) == 137
        assert client.stdout is not None
        assert b"dbt was killed before it returned an exit code" in client.stdout.read()


def test_the_server_has_one_thread_and_no_dead_children(server: psutil.Process, dbt: Dbt) -> None:
    dbt("--quiet", "ls", "--select", "sales")
    assert server.num_threads() == 1
    wait_until(lambda: len(server.children()) <= 1)


def test_looking_whether_the_server_is_there_does_no_harm(server: psutil.Process, lake: Settings, dbt: Dbt) -> None:
    log = lake.home / "logs" / "dbt.log"
    before = log.read_text("utf-8")
    for _ in range(5):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(str(lake.home / dbt_client.ADDRESS))
    dbt("--quiet", "ls", "--select", "sales")
    assert log.read_text("utf-8") == before


def test_only_this_user_may_call(lake: Settings) -> None:
    assert stat.S_IMODE((lake.home / dbt_client.ADDRESS).stat().st_mode) == 0o600


def test_a_home_whose_path_is_too_long_for_a_socket_has_one_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / ("long" * 30)
    (home / "run").mkdir(parents=True)
    monkeypatch.setenv("LAKE_HOME", str(home))
    with dbt_server._listen(home) as listener:
        client = dbt_client._connect()
        assert client is not None
        with client, listener.accept()[0]:
            pass


def test_without_a_server_dbt_runs_by_itself(lake: Settings, tmp_path: Path) -> None:
    done = call_dbt(lake, "--quiet", "ls", "--select", "sales", "--resource-type", "model", LAKE_HOME=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "lake.marts.sales_data_mart.sales\n")


def test_a_server_that_ends_before_it_answers_is_no_server(lake: Settings, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dying:
        dying.bind(str(tmp_path / dbt_client.ADDRESS))
        dying.listen()
        end = threading.Thread(target=lambda: dying.accept()[0].close())
        end.start()
        done = call_dbt(lake, "--quiet", "ls", "--select", "sales", "--resource-type", "model", LAKE_HOME=str(tmp_path))
        end.join()
    assert (done.returncode, done.stdout) == (0, "lake.marts.sales_data_mart.sales\n")


def test_the_client_imports_next_to_nothing() -> None:
    """Each module that it imports is waited for in every build of a mart."""
    code = "import sys, lake_assets.dbt.client; print([m for m in sys.modules if 'lake_assets' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    own = ["lake_assets", "lake_assets.dbt", "lake_assets.dbt.client"]
    assert done.stdout.strip() == str(own)


def test_a_wrong_setting_is_one_sentence(lake: Settings) -> None:
    done = call_dbt(lake, "ls", LAKE_TARGET="moon")
    assert (done.returncode, done.stdout) == (
        2, "lake-dbt: LAKE_TARGET is 'moon': it must be one of local, gcp, aws.\n"
    )  # fmt: skip
