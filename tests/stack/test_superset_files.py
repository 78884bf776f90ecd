"""Files, port and environment of Superset, without one."""

import socket
import stat
import sys
from pathlib import Path

import pytest

from lake_assets.errors import LakeError, Unavailable
from lake_assets.settings import Settings, load_settings
from lake_assets.stack import superset as module
from lake_assets.stack import superset_packages
from lake_assets.stack.superset import prepare_superset


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    return load_settings()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """Commands with their environment, none of which is executed."""
    calls: list[tuple[list[str], dict[str, str]]] = []
    for each in (module, superset_packages):
        monkeypatch.setattr(each, "run_logged", lambda command, environment, _: calls.append((command, environment)))
    monkeypatch.setattr(module, "own_database", lambda *_: None)
    monkeypatch.setattr(module, "install_packages", lambda _: Path("programs"))
    return calls


def test_secrets_are_in_files_of_their_owner_and_in_no_command(
    settings: Settings, calls: list[tuple[list[str], dict[str, str]]]
) -> None:
    superset = prepare_superset(settings, [], print)
    files = list((superset.folder / "secrets").iterdir())
    assert sorted(file.name for file in files) == ["admin", "pgpass", "secret_key"]
    secrets = [file.read_text("utf-8").strip().rpartition(":")[2] for file in files]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((superset.folder / "secrets").stat().st_mode) == 0o700
    seen = str([*calls, superset.command, superset.environment])
    assert not [secret for secret in secrets if secret in seen]
    again = prepare_superset(settings, [], print)
    assert [file.read_text("utf-8").strip().rpartition(":")[2] for file in files] == secrets
    assert again.port == superset.port


def test_packages_are_installed_once_with_their_hashes(
    tmp_path: Path, calls: list[tuple[list[str], dict[str, str]]]
) -> None:
    folder = tmp_path / "packages"
    programs = superset_packages.install_packages(print, folder)
    assert [command[1:3] for command, _ in calls] == [["venv", "--clear"], ["pip", "install"]]
    assert "--require-hashes" in calls[1][0]
    calls.clear()
    assert superset_packages.install_packages(print, folder) == programs
    assert calls == []
    (folder / "installed").write_text("another lock", "utf-8")
    superset_packages.install_packages(print, folder)
    assert len(calls) == 2


def test_superset_gets_nothing_of_the_lakes_environment(
    settings: Settings, calls: list[tuple[list[str], dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_POSTGRES_DSN", "password=secret")
    monkeypatch.setenv("PGPASSWORD", "secret")
    environment = prepare_superset(settings, [], print).environment
    assert not [name for name in environment if name.startswith(("LAKE_", "PG"))]
    assert environment["SCARF_ANALYTICS"] == "false"
    # Bytecode of the project's files is the lake's, not the project's.
    assert environment["PYTHONPYCACHEPREFIX"].startswith(str(settings.home))


def test_port_that_is_taken_is_replaced(
    settings: Settings, calls: list[tuple[list[str], dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare_superset(settings, [], print)
    with socket.create_server(("127.0.0.1", first.port)):
        assert prepare_superset(settings, [], print).port > first.port
    monkeypatch.setattr(module, "is_free", lambda _: False)
    with pytest.raises(Unavailable, match="is free for Superset: delete"):
        prepare_superset(settings, [], print)


def test_failed_preparation_is_one_sentence_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "prepare.log"
    with pytest.raises(LakeError) as error:
        superset_packages.run_logged([sys.executable, "-c", "raise SystemExit('no space left')"], {}, log)
    assert str(error.value) == f"Superset could not be prepared (no space left): see {log}."


def test_postgres_that_does_not_run_is_one_sentence(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "run_logged", lambda *_: None)
    monkeypatch.setattr(module, "install_packages", lambda _: Path("programs"))
    with pytest.raises(Unavailable, match="does not answer"):
        prepare_superset(settings, [], print)
