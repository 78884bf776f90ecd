"""Starting and ending whole lakes: nothing is left, nothing of others is touched. Postgres stands for all parts."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from lake_assets.errors import LakeError
from lake_assets.home import Home
from lake_assets.settings import load_settings
from lake_assets.stack.addresses import PortTaken, choose_ports, is_free
from lake_assets.stack.lifecycle import PartStatus, down, status, up
from lake_assets.stack.passwords import read_passwords
from lake_assets.stack.postgres import SYSTEM_USER, postgres_program, prepare_postgres
from lake_assets.stack.roles import RolesError
from lake_assets.stack.supervisor import Supervisor, owned_processes
from tests.support.conditions import wait_until
from tests.support.other_user import ROOT, modes_open, open_to_others
from tests.support.server_marker import starts_server


@contextmanager
def at(home: Path) -> Generator[Home]:
    """`LAKE_HOME` is this folder inside the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_HOME", str(home))
        yield Home(home)


@pytest.fixture
@starts_server
def homes() -> Generator[tuple[Path, Path]]:
    """Two empty homes on a short path; whatever runs in them is ended afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="lake-"))
    pair = folder / "one", folder / "two"
    yield pair
    for home in pair:
        with at(home):
            down()
    shutil.rmtree(folder)


def postgres() -> PartStatus:
    return next(part for part in status() if part.name == "postgres")


def kill_supervisor(layout: Home) -> None:
    supervisord = psutil.Process(Supervisor(layout).pid())
    supervisord.kill()
    supervisord.wait(10)


def test_down_leaves_no_process_and_up_goes_on_where_it_was(homes: tuple[Path, Path]) -> None:
    with at(homes[0]) as layout:
        up(parts=["postgres"])
        settings, secrets = load_settings(), read_passwords(layout)
        with psycopg.connect(settings.postgres.conninfo("lake"), autocommit=True) as connection:
            connection.execute("create schema kept")
        down()
        assert owned_processes(layout) == []
        assert is_free(settings.postgres.port)
        assert postgres().state == "stopped"
        up(parts=["postgres"])
        assert load_settings() == settings
        assert read_passwords(layout) == secrets
        with psycopg.connect(settings.postgres.conninfo("lake")) as connection:
            assert connection.execute("select 1 from pg_namespace where nspname = 'kept'").fetchone()


def test_running_lake_is_closed_to_others_whatever_the_umask(homes: tuple[Path, Path]) -> None:
    homes[0].parent.chmod(0o755)
    started = [sys.executable, "-c", "from lake_assets.cli import main; main()", "up", "--parts", "postgres"]
    with at(homes[0]) as layout:
        shown = subprocess.run(started, umask=0, capture_output=True, text=True, check=True, timeout=120).stdout
        assert "closed" not in shown
        assert open_to_others(layout.home) == []
        inside = set(layout.home.rglob("*")) - {layout.home}
        assert modes_open(inside) == set(), "nothing inside depends on the home's own mode"
        for path in (layout.home, layout.logs, layout.home / "bucket", layout.log("postgres")):
            path.chmod(0o755)
        orphan = layout.home / "tmp" / "spill-killed"
        orphan.mkdir(parents=True)
        (orphan / ".lock").touch()
        lines: list[str] = []
        up(lines.append, ["postgres"])
        assert "removed 1 files and folders that killed processes had spilled" in lines
        assert not orphan.exists()
        assert "closed 7 files and folders of this lake to other users" in lines
        assert open_to_others(layout.home) == []
        if ROOT:
            assert layout.home.group() == SYSTEM_USER


def test_two_lakes_run_side_by_side_and_down_ends_one_of_them(homes: tuple[Path, Path]) -> None:
    for home in homes:
        with at(home):
            up(parts=["postgres"])
    with at(homes[1]):
        other = postgres().pid
    with at(homes[0]) as layout:
        down()
        assert owned_processes(layout) == []
    with at(homes[1]):
        assert postgres().pid == other
        assert postgres().health is None


def test_a_lake_whose_supervisor_was_killed_is_restored_by_up(homes: tuple[Path, Path]) -> None:
    with at(homes[0]) as layout:
        up(parts=["postgres"])
        orphan = postgres().pid
        kill_supervisor(layout)
        assert postgres().state == "unsupervised"
        up(parts=["postgres"])
        assert postgres().state in ("starting", "running")
        assert orphan is not None
        assert not psutil.pid_exists(orphan)


def test_a_lake_whose_supervisor_was_killed_is_ended_by_down(homes: tuple[Path, Path]) -> None:
    with at(homes[0]) as layout:
        up(parts=["postgres"])
        kill_supervisor(layout)
        assert owned_processes(layout)
        down()
        assert owned_processes(layout) == []


def test_down_twice_and_down_of_a_lake_that_never_was_do_nothing(homes: tuple[Path, Path]) -> None:
    with at(homes[0]):
        down()
        assert not homes[0].exists()
        up(parts=["postgres"])
        down()
        down()


def test_a_port_taken_while_the_lake_was_down_is_one_sentence(homes: tuple[Path, Path]) -> None:
    with at(homes[0]):
        up(parts=["postgres"])
        port = load_settings().postgres.port
        down()
        with (
            socket.create_server(("127.0.0.1", port)),
            pytest.raises(PortTaken, match=rf"^Port {port}, this lake's postgres, is used by process {os.getpid()}"),
        ):
            up(parts=["postgres"])


def test_a_part_that_does_not_exist_is_named(homes: tuple[Path, Path]) -> None:
    with at(homes[0]), pytest.raises(LakeError, match=r"^There is no part 'kafak': the parts are postgres, kafka, "):
        up(parts=["kafak"])


def test_a_part_that_cannot_start_reports_the_cause_and_its_log(homes: tuple[Path, Path]) -> None:
    with at(homes[0]) as layout:
        up(parts=["postgres"])
        down()
        (layout.postgres / "global" / "pg_control").unlink()
        with pytest.raises(LakeError, match=r"^postgres did not come up \(.*No such file.*\): see .*postgres\.log\.$"):
            up(parts=["postgres"])


@pytest.fixture
def bare_server(homes: tuple[Path, Path]) -> Generator[str]:
    """A Postgres of another owner: the connection string of its administrator."""
    layout = Home(homes[0].parent / "server")
    layout.create()
    port = int(choose_ports({}, layout.home, frozenset())["postgres_port"])
    prepare_postgres(layout, port, "admins-own")
    program = postgres_program(layout)
    with layout.log("postgres").open("wb") as log:
        server = subprocess.Popen(
            program.command, user=program.user, group=program.user, extra_groups=[], stdout=log, stderr=log, cwd="/"
        )
    admin = f"host=127.0.0.1 port={port} user=lake_admin dbname=postgres password=admins-own"

    def answers() -> bool:
        try:
            psycopg.connect(admin).close()
        except psycopg.OperationalError:
            return False
        return True

    wait_until(answers)
    yield admin
    server.send_signal(signal.SIGINT)
    server.wait(30)


def test_a_dsn_replaces_the_embedded_postgres(
    homes: tuple[Path, Path], bare_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_POSTGRES_DSN", bare_server)
    with at(homes[0]) as layout:
        up(parts=["postgres"])
        up(parts=["postgres"])
        assert not layout.postgres.exists()
        assert (postgres().state, postgres().health) == ("external", None)
        assert not [path for path in homes[0].rglob("*") if path.is_file() and b"admins-own" in path.read_bytes()]
        with psycopg.connect(load_settings().postgres.conninfo("lake")) as connection:
            connection.execute("create schema ledger")
        monkeypatch.delenv("LAKE_POSTGRES_DSN")
        with pytest.raises(LakeError, match=r"set LAKE_POSTGRES_DSN as at its first start\.$"):
            up(parts=["postgres"])
    # A second lake must not take the first one's roles from it.
    monkeypatch.setenv("LAKE_POSTGRES_DSN", bare_server)
    with (
        at(homes[1]),
        pytest.raises(RolesError, match=r"has a role 'lake' whose password is not in .*use another server"),
    ):
        up(parts=["postgres"])
