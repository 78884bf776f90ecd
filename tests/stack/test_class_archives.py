"""Class archives: both servers start from them, and nothing that is wrong with one keeps a server from starting."""

import shutil
import subprocess
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError

import pytest

from lake_assets.home import Home
from lake_assets.stack import archive_making, class_archives
from lake_assets.stack.archive_making import make_archives
from lake_assets.stack.class_archives import SERVERS, archive_folder, archive_options
from lake_assets.stack.connect import connect_program
from lake_assets.stack.jars import jars_folder
from lake_assets.stack.java import find_java, java_version
from lake_assets.stack.kafka import kafka_program


@pytest.fixture(scope="module")
def archives() -> Path:
    """The archives of this machine's Java, as `make test` has made them, or made now."""
    java, jars = find_java(), jars_folder()
    assert make_archives(java, jars) == SERVERS
    return archive_folder(java, jars)


@pytest.fixture
def another_java(monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """The folder of the archives after an update of this Java."""
    monkeypatch.setattr(class_archives, "java_version", lambda _: "an update")
    folder = archive_folder(find_java(), jars_folder())
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("server", "main"),
    [("kafka", "kafka.Kafka"), ("connect", "org.apache.kafka.connect.cli.ConnectDistributed")],
)
def test_a_server_takes_its_classes_from_its_archive(archives: Path, tmp_path: Path, server: str, main: str) -> None:
    """The server ends soon, because its configuration is missing."""
    layout, log = Home(tmp_path), tmp_path / "classes"
    program = {"kafka": kafka_program, "connect": connect_program}[server](layout, find_java(), jars_folder())
    assert f"-XX:SharedArchiveFile={archives / server}.jsa" in program.command
    java, *arguments = program.command
    subprocess.run([java, f"-Xlog:class+load:file={log}", *arguments], capture_output=True, check=False, cwd=tmp_path)
    assert f"{main} source: shared objects file (top)" in log.read_text("utf-8")


def test_a_server_of_another_java_starts_without_an_archive(archives: Path, another_java: Path, tmp_path: Path) -> None:
    assert another_java != archives
    assert archive_options(find_java(), jars_folder(), "kafka") == ()
    command = kafka_program(Home(tmp_path), find_java(), jars_folder()).command
    assert not [argument for argument in command if "SharedArchiveFile" in argument]


def test_an_archive_that_is_not_complete_is_never_used(
    archives: Path, another_java: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A JVM crashes on the first half of an archive."""

    def interrupted(_java: str, _jars: Path, folder: Path) -> None:
        whole = (archives / "kafka.jsa").read_bytes()
        (folder / "kafka.jsa").write_bytes(whole)
        (folder / "connect.jsa").write_bytes(whole[: len(whole) // 2])

    monkeypatch.setattr(archive_making, "_run_servers", interrupted)
    assert make_archives(find_java(), jars_folder()) == ("kafka",)
    assert [path.name for path in another_java.iterdir()] == ["kafka.jsa"]


def test_a_java_that_makes_none_is_tried_once(tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho run >> {tmp_path}/runs\n[ $1 = -version ]\n", "utf-8")
    java.chmod(0o755)
    jars = tmp_path / "jars"
    jars.mkdir()
    assert make_archives(str(java), jars) == ()
    runs = (tmp_path / "runs").read_text("utf-8")
    assert runs.count("run") > 1
    assert make_archives(str(java), jars) == ()
    assert (tmp_path / "runs").read_text("utf-8") == runs
    assert archive_options(str(java), jars, "kafka") == ()


def test_two_who_make_them_at_once_start_the_servers_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, both = list[Path](), Barrier(2)

    def run(_java: str, _jars: Path, folder: Path) -> None:
        runs.append(folder)
        with suppress(BrokenBarrierError):
            both.wait(1)  # in vain

    monkeypatch.setattr(archive_making, "_run_servers", run)
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(make_archives, find_java(), tmp_path) for _ in range(2)]
    assert [one.result() for one in made] == [(), ()]
    assert len(runs) == 1
    assert not runs[0].exists()


def test_archives_of_older_jars_are_removed_and_those_of_another_java_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_making, "_run_servers", lambda *_: None)
    folder = archive_folder(find_java(), tmp_path)
    another = folder.with_name(f"{folder.name.partition('-')[0]}-0123456789ab")
    for path in (folder.with_name("0123456789ab-0123456789ab"), folder.with_name(".new-interrupted"), another):
        path.mkdir(parents=True)
    make_archives(find_java(), tmp_path)
    assert sorted(path for path in folder.parent.iterdir() if path.is_dir()) == sorted([folder, another])


def test_options_from_the_environment_are_no_other_java(archives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dsome=option -XX:TieredStopAtLevel=1")
    monkeypatch.setattr(class_archives, "java_version", java_version.__wrapped__)
    assert archive_folder(find_java(), jars_folder()) == archives
