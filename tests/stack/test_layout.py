"""Folders, sockets and ports of a lake, without starting anything."""

import json
import shlex
import socket
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lake_assets.home import SOCKET_PATH_LIMIT, Home, HomeError, socket_path
from lake_assets.settings import load_settings
from lake_assets.stack.addresses import INTERNAL, PUBLISHED, PortTaken, choose_ports, read_addresses, write_addresses
from lake_assets.stack.logs import CODE_LOADS, RESOLVED_AFTER, last_error, last_error_now
from lake_assets.stack.passwords import (
    ROLES,
    keep_kafka_passwords,
    keep_passwords,
    passfile_of,
    read_kafka_passwords,
    read_passwords,
    write_common_passfile,
)
from lake_assets.stack.programs import Program, render_config

NO_PORTS: frozenset[str] = frozenset()


def test_a_short_home_has_its_sockets_inside(tmp_path: Path) -> None:
    assert socket_path(Path("/tmp/l"), "dbt.sock") == Path("/tmp/l/run/dbt.sock")


def test_a_home_too_long_for_a_socket_has_its_sockets_in_a_private_folder(tmp_path: Path) -> None:
    home, other = (tmp_path / name / ("long" * 30) for name in ("one", "two"))
    path = socket_path(home, "supervisor.sock")
    assert len(str(path)) <= SOCKET_PATH_LIMIT
    assert path.parent.stat().st_mode & 0o077 == 0
    assert path.parent != socket_path(other, "supervisor.sock").parent
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    path.unlink()
    for folder in (path.parent, socket_path(other, "x").parent):
        folder.rmdir()


def test_a_socket_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30)
    folder = socket_path(home, "x").parent
    folder.chmod(0o755)
    with pytest.raises(HomeError, match=r"should be a private folder of yours .*: remove it\.$"):
        socket_path(home, "x")
    folder.rmdir()


@pytest.mark.parametrize("name", ["a,b", "quote'd", "semi;colon", "line\nbreak", "dollar$"])
def test_a_home_that_a_configuration_file_would_misread_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HomeError, match=r"use a path of letters, digits"):
        Home(tmp_path / name).create()
    assert not (tmp_path / name).exists()


def test_ports_are_free_different_and_kept(tmp_path: Path) -> None:
    chosen = choose_ports({}, tmp_path, NO_PORTS)
    assert set(chosen) == {*PUBLISHED, *INTERNAL}
    assert len(set(chosen.values())) == len(chosen)
    assert choose_ports(chosen, tmp_path, NO_PORTS) == chosen


def test_a_published_port_of_another_process_is_an_error_that_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            PortTaken, match=rf"^Port {port}, this lake's kafka, is used by .*: end that process, or take"
        ):
            choose_ports({"kafka_port": port}, tmp_path, NO_PORTS)
        assert choose_ports({"kafka_port": port}, tmp_path, frozenset({"kafka_port"}))["kafka_port"] == port


def test_an_internal_port_taken_by_another_process_is_replaced(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert choose_ports({"controller_port": port}, tmp_path, NO_PORTS)["controller_port"] != port


def test_passwords_are_kept_private_and_follow_the_address(tmp_path: Path) -> None:
    layout = Home(tmp_path)
    layout.create()
    first = keep_passwords(layout, "127.0.0.1", 1111)
    assert set(first) == set(ROLES)
    assert len(set(first.values())) == len(ROLES)
    assert keep_passwords(layout, "127.0.0.1", 2222) == first == read_passwords(layout)
    for role in ROLES:
        assert passfile_of(layout, role).read_text("utf-8") == f"127.0.0.1:2222:*:{role}:{first[role]}\n"
    assert (layout.connect_secrets / "postgres.properties").read_text(
        "utf-8"
    ) == f"user=connect\npassword={first['connect']}\n"
    assert stat.S_IMODE(layout.secrets.stat().st_mode) == 0o700
    for file in (*(passfile_of(layout, role) for role in ROLES), layout.connect_secrets / "postgres.properties"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_passwords_of_the_broker_s_users_are_kept_and_private(tmp_path: Path) -> None:
    layout = Home(tmp_path)
    layout.create()
    keep_kafka_passwords(layout, "127.0.0.1:1111")
    first = read_kafka_passwords(layout)
    assert set(first) == {"lake", "producer"}
    assert first["lake"] != first["producer"]
    keep_kafka_passwords(layout, "127.0.0.1:2222")
    assert read_kafka_passwords(layout) == first
    assert layout.kafka_password.read_text("utf-8") == first["lake"]
    for user, other in (("lake", "producer"), ("producer", "lake")):
        files = list(layout.kafka_clients(user).iterdir())
        assert {file.name for file in files} == {"librdkafka.properties", "java.properties"}
        for text in (file.read_text("utf-8") for file in files):
            assert text.startswith("bootstrap.servers=127.0.0.1:2222\n")
            assert first[user] in text
            assert first[other] not in text
    for file in layout.secrets.rglob("*"):
        assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_dir() else 0o600), file


def test_passfile_of_an_older_lake_becomes_one_for_each_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    layout = Home(tmp_path)
    layout.create()
    write_common_passfile(layout, "127.0.0.1", 1111, dict.fromkeys(ROLES, "old"))
    assert keep_passwords(layout, "127.0.0.1", 1111) == dict.fromkeys(ROLES, "old")
    assert not layout.passfile.exists()
    postgres = load_settings().postgres
    for role in ROLES:
        for connection in (postgres.conninfo(role), postgres.url(role)):
            assert f"pgpass_{role}" in connection
        assert [line.split(":")[3] for line in postgres.passfile_of(role).read_text("utf-8").splitlines()] == [role]


def test_the_supervisor_reads_a_command_as_it_was_meant(tmp_path: Path) -> None:
    from supervisor.options import ServerOptions

    layout = Home(tmp_path / "with space")
    layout.create()
    command = ("/bin/echo", "two words", "100%", "it's")
    layout.supervisor_config.write_text(
        render_config(layout, [Program("part", command, environment={"LAKE_X": "it's 5%, c=d"})]), "utf-8"
    )
    options = ServerOptions()
    options.realize(["-c", str(layout.supervisor_config)])
    (config,) = options.process_group_configs[0].process_configs
    assert tuple(shlex.split(config.command)) == command
    assert config.environment["LAKE_X"] == "it's 5%, c=d"


@pytest.mark.parametrize("value", ['a"b', "a ;b", "a\t#b", "a\nb"])
def test_a_setting_that_the_supervisor_would_misread_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(HomeError, match=r"supervisord.conf cannot contain"):
        render_config(Home(tmp_path), [Program("part", ("/bin/echo",), environment={"LAKE_X": value})])


LOG = """\
2026-01-02 10:00:00,000 ERROR Old - long ago
2026-01-02 11:00:00,000 INFO Worker - a timeout that is part of starting
org.apache.kafka.common.errors.TimeoutException: the broker is not there yet
\tat somewhere
"""


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("", None),
        ("2026-01-02 11:00:01,000 ERROR Task - it broke\n", "2026-01-02 11:00:01,000 ERROR Task - it broke"),
        ("Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no"),
        ("\x1b[31m2026-01-02 11:00:02 +0000 ERROR red\x1b[0m\n", "2026-01-02 11:00:02 +0000 ERROR red"),
        ("x" * 70_000 + "\nFATAL: late\n", "FATAL: late"),
        ("2026-01-02 11:00:00 fine\nDone. PASS=3 WARN=0 ERROR=0 SKIP=0\n", None),
        ("2026-01-02 11:00:00 fine\nstream_app: the topic has changed.\n", "stream_app: the topic has changed."),
    ],
)
def test_the_last_error_is_one_line_and_of_this_start(tmp_path: Path, more: str, found: str | None) -> None:
    log = tmp_path / "part.log"
    log.write_text(LOG + more, "utf-8")
    assert last_error(log, datetime(2026, 1, 2, 10, 30, tzinfo=UTC)) == found


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("analyst@lake 42501 ERROR:  permission denied for schema leads_staging", False),
        ("analyst@lake 28P01 FATAL:  password authentication failed for user", False),
        ("analyst@lake 57014 ERROR:  canceling statement due to user request", False),
        ("lake@lake 57P03 FATAL:  the database system is starting up", False),
        ("lake@lake 40001 ERROR:  could not serialize access", False),
        ("analyst@lake 53100 ERROR:  could not extend file: No space left on device", True),
        ("lake@lake XX001 ERROR:  invalid page in block 1", True),
        ("@ 42501 FATAL:  could not open file", True),
    ],
)
def test_what_postgres_refuses_a_user_is_no_error_of_postgres(tmp_path: Path, line: str, shown: bool) -> None:
    log = tmp_path / "postgres.log"
    log.write_text(f"2026-01-02 11:00:00.000 UTC {line}\n", "utf-8")
    assert (last_error(log, datetime(2026, 1, 2, 10, 30, tzinfo=UTC)) is not None) == shown


def test_error_of_a_part_that_answers_again_is_not_shown(tmp_path: Path) -> None:
    up, failed = datetime(2026, 1, 2, 10, tzinfo=UTC), datetime(2026, 1, 2, 11, tzinfo=UTC)
    log = tmp_path / "part.log"
    log.write_text("2026-01-02 11:00:00,000 ERROR Task - it broke\n", "utf-8")
    soon, second = failed + RESOLVED_AFTER / 2, timedelta(seconds=1)

    def is_shown(started: datetime | None, now: datetime) -> bool:
        return last_error_now(log, up, started, now) is not None

    assert is_shown(up, soon)
    assert not is_shown(failed + second, soon)
    assert not is_shown(up, failed + RESOLVED_AFTER + second)
    assert is_shown(None, failed + RESOLVED_AFTER + second)


def test_error_of_a_code_server_that_has_started_since_is_not_shown(tmp_path: Path) -> None:
    up, failed = datetime(2026, 1, 2, 10, tzinfo=UTC), datetime(2026, 1, 2, 11, tzinfo=UTC)
    log, soon, second = tmp_path / "daemon.log", failed + RESOLVED_AFTER / 2, timedelta(seconds=1)
    away = (
        "2026-01-02 11:00:00 +0000 - dagster.daemon.SensorDaemon - WARNING - Could not load location\n"
        "Traceback (most recent call last):\n"
        '  File "client.py", line 1, in call\n'
        "dagster._core.errors.DagsterUserCodeUnreachableError: Could not reach user code server.\n"
    )
    own = "2026-01-02 10:59:00 +0000 - dagster.daemon - ERROR - disk full\n"

    def shown(text: str, code_started: datetime | None) -> str:
        log.write_text(text, "utf-8")
        return last_error_now(log, up, up, soon, code_started) or ""

    assert "Unreachable" in shown(away, None)
    assert "Unreachable" in shown(away, failed - CODE_LOADS - second)
    assert shown(away, failed + second) == ""
    # It does not answer before it has loaded its definitions.
    assert shown(away, failed - second) == ""
    assert "disk full" in shown(own + away, failed + second)


def test_log_that_is_older_than_the_start_has_no_error(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_text("lake: without a time\n", "utf-8")
    assert last_error(log, datetime.now(UTC) - timedelta(minutes=1)) is not None
    assert last_error(log, datetime.now(UTC) + timedelta(minutes=1)) is None


def test_stack_json_is_readable_by_people(tmp_path: Path) -> None:
    layout = Home(tmp_path)
    write_addresses(layout, {"kafka_port": 1})
    assert read_addresses(layout) == json.loads(layout.stack_file.read_text("utf-8")) == {"kafka_port": 1}
