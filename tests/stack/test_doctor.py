"""`lake doctor` on a machine where nothing is up, and with something wrong."""

import json
import os
import resource
import socket
from collections.abc import Generator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lake_assets.cli.doctor import command
from lake_assets.settings import Settings
from lake_assets.stack import doctor
from lake_assets.stack.doctor import Finding, examine


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lake's home that does not exist yet."""
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def findings(check: str) -> list[Finding]:
    return [finding for finding in examine() if finding.check == check]


def wrong(check: str) -> Finding:
    [finding] = [finding for finding in findings(check) if not finding.is_ok]
    return finding


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def test_doctor_has_every_check_where_nothing_is_up(home: Path) -> None:
    result = run("--json")
    found = json.loads(result.output)
    assert {item["check"] for item in found} == {
        "settings", "java", "jars", "packages", "ports", "disk", "memory", "limits", "home", "names", "clock",
    }  # fmt: skip
    assert all(item["found"] for item in found)
    assert result.exit_code == (0 if all(item["ok"] for item in found) else 1)
    assert not home.exists(), "it changes nothing"


def test_doctor_ends_with_1_and_prints_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    result = run()
    assert result.exit_code == 1
    lines = result.output.splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("NOT OK  java"))
    assert lines[place + 1].strip() == "install a JDK 17 or set JAVA_HOME to one."


def test_doctor_counts_missing_jars_and_changed_packages(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_JARS", str(tmp_path / "jars"))
    assert wrong("jars").remedy == "run `make jars`."
    project = tmp_path / "project"
    project.mkdir()
    (project / "uv.lock").write_text('[[package]]\nname = "click"\nversion = "0.1"\n', "utf-8")
    (project / "pyproject.toml").write_text('[project]\ndependencies = ["click>=8", "no_such-package[a]>=1"]', "utf-8")
    monkeypatch.setattr(doctor, "PROJECT", project)
    packages = wrong("packages")
    assert "2 packages differ from uv.lock: click 8" in packages.found
    assert "no-such-package (missing)" in packages.found


@pytest.fixture
def listener() -> Generator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_doctor_names_the_process_that_has_a_port_of_the_lake(home: Path, listener: int) -> None:
    home.mkdir(mode=0o700)
    (home / "stack.json").write_text(json.dumps({"kafka_port": listener}), "utf-8")
    port = wrong("ports")
    assert f"port {listener} of kafka is used by process {os.getpid()}" in port.found
    assert "'kafka_port'" in port.remedy


def test_doctor_finds_a_home_and_secrets_that_others_can_read(home: Path) -> None:
    home.mkdir()
    home.chmod(0o755)  # whatever the umask
    assert wrong("home").remedy == "close it with `lake up`."
    home.chmod(0o700)
    (home / "secrets").mkdir()
    (home / "secrets" / "pgpass_lake").touch()
    (home / "secrets" / "pgpass_lake").chmod(0o644)
    assert wrong("home").remedy == f"run `chmod 600 {home}/secrets/pgpass_lake`."


@pytest.mark.parametrize(
    ("check", "constant", "remedy"),
    [
        ("disk", "NEEDED_DISK", "make room"),
        ("memory", "NEEDED_MEMORY", "use a machine with 4 GB"),
        ("names", "MOST_LOOKUP_SECONDS", "to /etc/hosts"),
    ],
)
def test_doctor_compares_the_machine_with_the_needs(
    check: str, constant: str, remedy: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, constant, -1 if check == "names" else 10**15)
    assert remedy in wrong(check).remedy


def test_doctor_finds_a_limit_of_open_files_that_is_low(home: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))
    try:
        assert "`ulimit -n 4096`" in wrong("limits").remedy
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_doctor_goes_on_after_a_setting_that_is_wrong(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_TARGET", "moon")
    assert "LAKE_TARGET is 'moon'" in wrong("settings").found
    assert all(finding.is_ok for finding in findings("names"))


def test_doctor_compares_clocks_and_knows_the_ports_of_a_lake(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [finding.remedy for finding in findings("ports")] == [""]
    clocks = findings("clock")
    assert [(f.is_ok, f.found.partition(" is ")[0]) for f in clocks] == [(True, "Postgres"), (True, "Kafka Connect")]
    monkeypatch.setattr(doctor, "MOST_CLOCK_SECONDS", -1)
    assert [f.remedy for f in findings("clock")] == 2 * ["let NTP set the clocks of both machines."]
