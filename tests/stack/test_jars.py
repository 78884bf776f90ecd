"""The jars: the folder has what the lock lists, whatever was interrupted, and nothing is fetched twice."""

import hashlib
import io
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.settings import PROJECT
from lake_assets.stack import jars
from lake_assets.stack.jar_lock import DIRECT, Coordinates, Jar, JarLockError, read_lock, render_lock
from lake_assets.stack.jars import JarsError, complete_jars, missing, shards

COORDINATES = st.builds(
    Coordinates,
    organisation=st.from_regex(r"[a-z][a-z.]{0,9}", fullmatch=True),
    name=st.from_regex(r"[a-z][a-z-]{0,9}", fullmatch=True),
    revision=st.from_regex(r"[0-9][0-9.]{0,5}", fullmatch=True),
    classifier=st.sampled_from(["", "plugin", "nohive"]),
    extension=st.sampled_from(["jar", "tar.gz"]),
)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six jars, one of them wanted in two folders, and a plugin archive; the lock that lists them is in force."""
    folder = tmp_path / "repository"
    folder.mkdir()
    entries: list[Jar] = []

    def add(target: str, name: str, content: bytes, extension: str = "jar", classifier: str = "") -> None:
        found = Coordinates("org.example", name, "1.0", classifier, extension)
        (folder / found.file_name).write_bytes(content)
        entries.append(Jar(hashlib.sha256(content).hexdigest(), len(content), target, found))

    for number in range(6):
        add("kafka", f"jar{number}", bytes([number]) * (1000 + number))
    add("plugins/iceberg", "jar0", bytes([0]) * 1000)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("some-plugin/inner.jar")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"inner"))
    add("plugins/jdbc", "some-plugin", archive.getvalue(), "tar.gz", "plugin")
    lock = tmp_path / "jars.lock"
    lock.write_text(render_lock(entries), "utf-8")
    monkeypatch.setattr(jars, "read_lock", lambda: read_lock(lock))
    monkeypatch.setenv("LAKE_JARS", str(tmp_path / "jars"))
    monkeypatch.setenv("FAKE_REPOSITORY", str(folder))
    return folder


@pytest.fixture
def java(tmp_path: Path) -> str:
    script = tmp_path / "java"
    script.write_text(
        f'#!/bin/sh\nexec {sys.executable} {PROJECT / "tests" / "support" / "doubles" / "ivy.py"} "$@"\n', "utf-8"
    )
    script.chmod(0o755)
    return str(script)


def requested(repository: Path) -> list[str]:
    return (repository / "requests").read_text("utf-8").split() if (repository / "requests").exists() else []


def test_everything_in_the_lock_is_fetched_once_and_put_in_its_folder(repository: Path, java: str) -> None:
    folder = complete_jars(java)
    assert sorted(path.name for path in (folder / "kafka").iterdir()) == [f"jar{number}-1.0.jar" for number in range(6)]
    assert (folder / "plugins" / "iceberg" / "jar0-1.0.jar").read_bytes() == bytes([0]) * 1000
    assert (folder / "plugins" / "jdbc" / "inner.jar").read_bytes() == b"inner"
    assert len(requested(repository)) == len(set(requested(repository))) == 7


def test_a_complete_folder_starts_no_download(repository: Path, java: str) -> None:
    complete_jars(java)
    before = requested(repository)
    complete_jars("/there/is/no/java/here")
    assert requested(repository) == before


def test_an_interrupted_fetch_goes_on_where_it_stopped(repository: Path, java: str) -> None:
    (repository / "jar5-1.0.jar").rename(repository / "away")
    with pytest.raises(JarsError, match=r"1 of the jars could not be fetched \(UnknownHostException.*run `make jars`"):
        complete_jars(java)
    (repository / "away").rename(repository / "jar5-1.0.jar")
    (repository / "requests").unlink()
    folder = complete_jars(java)
    assert requested(repository) == ["jar5-1.0.jar"]
    assert not missing(folder, jars.read_lock())


def test_what_an_earlier_killed_fetch_left_complete_is_taken_not_fetched(repository: Path, java: str) -> None:
    left = jars.jars_folder() / ".download" / "0" / "org.example"
    left.mkdir(parents=True)
    (left / "jar3-1.0.jar").write_bytes((repository / "jar3-1.0.jar").read_bytes())
    (left / "jar4-1.0.jar.part").write_bytes(b"half of it")
    complete_jars(java)
    assert "jar3-1.0.jar" not in requested(repository)
    assert "jar4-1.0.jar" in requested(repository)


def test_a_file_of_another_content_never_gets_its_name(repository: Path, java: str) -> None:
    (repository / "jar2-1.0.jar").write_bytes(b"\x02" * 1001 + b"!")
    with pytest.raises(JarsError, match=r"their SHA-256 differs from jars\.lock"):
        complete_jars(java)
    assert not (jars.jars_folder() / "kafka" / "jar2-1.0.jar").exists()
    assert (jars.jars_folder() / "kafka" / "jar1-1.0.jar").exists()


def test_jars_of_an_older_lock_are_removed(repository: Path, java: str) -> None:
    older = jars.jars_folder() / "kafka" / "jar0-0.9.jar"
    older.parent.mkdir(parents=True)
    older.write_bytes(b"older")
    complete_jars(java)
    assert not older.exists()


def test_a_folder_of_jars_that_are_not_needed_here_need_not_exist(repository: Path, java: str) -> None:
    """The first `make jars` of a machine that never ran the tests failed after all had been fetched."""
    unneeded = Jar("ab" * 32, 7, "doubles/hdfs", Coordinates("org.example", "double", "1.0", "", "jar"), "tests")
    folder = complete_jars(java, jars=[*jars.read_lock(), unneeded])
    assert not (folder / "doubles").exists()


def test_a_full_disk_is_reported_before_anything_is_fetched(
    repository: Path, java: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 10

    monkeypatch.setattr(jars.shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(
        JarsError, match=r"^The jars need \d+ MB at '.*' and 0 MB are free: make room, or set LAKE_JARS"
    ):
        complete_jars(java)
    assert requested(repository) == []


@given(st.lists(st.tuples(COORDINATES, st.integers(1, 60_000_000)), max_size=60), st.integers(1, 6))
def test_shards_hold_every_file_once(files: list[tuple[Coordinates, int]], count: int) -> None:
    lists = shards(files, count)
    assert len(lists) <= count
    assert sorted(found for shard in lists for found in shard) == sorted(found for found, _ in files)


@given(st.lists(st.tuples(COORDINATES, st.sampled_from(["kafka", "plugins/jdbc"])), unique=True))
def test_a_lock_reads_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, files: list) -> None:
    entries = [Jar("ab" * 32, 7, folder, found) for found, folder in files]
    path = tmp_path_factory.mktemp("lock") / "jars.lock"
    path.write_text(render_lock(entries), "utf-8")
    assert sorted(read_lock(path), key=str) == sorted(entries, key=str)


def test_a_damaged_lock_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "jars.lock"
    path.write_text("# head\nabc 12 kafka not-coordinates\n", "utf-8")
    with pytest.raises(JarLockError, match=r"jars\.lock line 2 is not a jar"):
        read_lock(path)


def test_the_lock_holds_what_ivy_xml_asks_for() -> None:
    locked = {(jar.coordinates.organisation, jar.coordinates.name): jar.coordinates.revision for jar in read_lock()}
    for dependency in ElementTree.parse(DIRECT).iter("dependency"):
        assert locked[dependency.attrib["org"], dependency.attrib["name"]] == dependency.attrib["rev"]
