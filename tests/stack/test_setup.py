"""Problems of a machine are one sentence, without a traceback, before anything is started."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lake_assets.settings import PROJECT
from lake_assets.stack import setup
from lake_assets.stack.java import NoJava, find_java
from lake_assets.stack.setup import SetupError, set_up


def fake_java(folder: Path, version_line: str, code: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    java = folder / "java"
    java.write_text(f"#!/bin/sh\necho '{version_line}' >&2\nexit {code}\n", "utf-8")
    java.chmod(0o755)
    return java


@pytest.fixture
def bare_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An otherwise empty PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


@pytest.mark.parametrize(
    "line", ['openjdk version "17.0.15" 2025-04-15', 'java version "21.0.1" 2023-10-17 LTS', 'openjdk version "17-ea"']
)
def test_a_java_of_17_to_23_is_taken(bare_path: Path, line: str) -> None:
    java = fake_java(bare_path, line)
    assert find_java() == str(java)


@pytest.mark.parametrize(
    ("line", "found"),
    [('openjdk version "11.0.2" 2019-01-15', "11"), ('java version "1.8.0_292"', "8"), ('openjdk version "24"', "24")],
)
def test_another_java_is_refused_with_its_version(bare_path: Path, line: str, found: str) -> None:
    fake_java(bare_path, line)
    with pytest.raises(NoJava, match=rf"is Java {found}, the stack needs 17 to 23: set JAVA_HOME to a JDK 17\.$"):
        find_java()


def test_a_missing_java_is_reported_with_what_to_install(bare_path: Path) -> None:
    with pytest.raises(NoJava, match=r"^There is no Java at the PATH: install a JDK 17 or set JAVA_HOME to one\.$"):
        find_java()


def test_a_java_home_without_java_is_named(bare_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(bare_path, 'openjdk version "17.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    with pytest.raises(NoJava, match=r"There is no Java at JAVA_HOME \(.*gone\)"):
        find_java()


def test_make_names_the_python_it_needs(bare_path: Path) -> None:
    for tool in ("make", "sh"):
        (bare_path / tool).symlink_to(str(shutil.which(tool, path=os.defpath)))
    old = bare_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n", "utf-8")  # every version question is answered with no
    old.chmod(0o755)
    done = subprocess.run(["make", "-C", str(PROJECT), "setup"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "There is no Python 3.11, 3.12 or 3.13 on the PATH" in done.stderr


@pytest.fixture
def clone(tmp_path: Path, bare_path: Path) -> Path:
    """A project folder with a lock, and a PATH with a good Java and a uv that makes an empty .venv."""
    fake_java(bare_path, 'openjdk version "17.0.1"')
    project = tmp_path / "clone"
    project.mkdir()
    (project / "uv.lock").write_text("one", "utf-8")
    (project / "pyproject.toml").write_text("", "utf-8")
    uv = bare_path / "uv"
    uv.write_text(
        '#!/bin/sh\nif [ "$1" = --version ]; then echo "uv 99.0.0"; exit; fi\n'
        'echo "$@" downloads=$UV_PYTHON_DOWNLOADS >> calls\n/bin/mkdir -p .venv\n',
        "utf-8",
    )
    uv.chmod(0o755)
    return project


def test_packages_are_installed_when_the_lock_changed_and_only_then(clone: Path) -> None:
    set_up(clone)
    set_up(clone)
    (call,) = (clone / "calls").read_text("utf-8").splitlines()
    assert "sync --frozen --compile-bytecode" in call
    assert "downloads=never" in call
    (clone / "uv.lock").write_text("two", "utf-8")
    set_up(clone)
    assert len((clone / "calls").read_text("utf-8").splitlines()) == 2


def test_a_failed_install_is_tried_again_by_the_next_make(clone: Path, bare_path: Path) -> None:
    working = (bare_path / "uv").read_text("utf-8")
    (bare_path / "uv").write_text(working.replace("/bin/mkdir -p .venv", "exit 2"), "utf-8")
    with pytest.raises(SetupError, match=r"^uv could not install the Python packages: see its message above"):
        set_up(clone)
    (bare_path / "uv").write_text(working, "utf-8")
    set_up(clone)
    assert len((clone / "calls").read_text("utf-8").splitlines()) == 2


def test_an_old_uv_is_not_used(clone: Path, bare_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare_path / "uv").write_text('#!/bin/sh\necho "uv 0.4.1"\n', "utf-8")
    commands: list[list[str]] = []
    monkeypatch.setattr(setup, "_run", lambda command, complaint, cwd=None: commands.append(command))
    (clone / ".venv").mkdir()
    set_up(clone)
    assert commands[0][1:3] == ["-m", "venv"]
    assert commands[1][-1] == f"uv=={setup.UV}"
    assert commands[2][0] == str(clone / ".tools" / "uv" / "bin" / "uv")


def test_a_full_disk_is_reported_before_packages_are_fetched(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1_000_000

    monkeypatch.setattr(setup.shutil, "disk_usage", lambda _: Usage)
    with pytest.raises(SetupError, match=r"^Set-up needs 3 GB at '.*', where 0\.0 GB are free: make room\.$"):
        set_up(clone)
    assert not (clone / "calls").exists()


def test_set_up_needs_nothing_but_the_standard_library() -> None:
    # -S: without site-packages.
    subprocess.run([sys.executable, "-S", "-c", "import lake_assets.stack.setup"], check=True, cwd=PROJECT)


def test_lake_up_without_java_is_one_sentence_and_exit_code_3(tmp_path: Path) -> None:
    lake = Path(sys.executable).with_name("lake")
    environment = {**os.environ, "LAKE_HOME": str(tmp_path), "JAVA_HOME": str(tmp_path / "gone")}
    done = subprocess.run([lake, "up"], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 3
    assert done.stderr.splitlines() == [
        f"lake: There is no Java at JAVA_HOME ({tmp_path}/gone): install a JDK 17 or set JAVA_HOME to one."
    ]
