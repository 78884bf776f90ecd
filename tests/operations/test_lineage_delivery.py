"""Files of lineage events, and a server that takes them, or fails in every way."""

import json
import stat
from collections.abc import Generator
from pathlib import Path

import pytest
from click.testing import CliRunner

import lake_assets.operations.lineage.files as files
import lake_assets.operations.lineage.send as sending
from lake_assets.cli.status import command
from lake_assets.errors import SettingsError
from lake_assets.operations.lineage.destination import read_destination
from lake_assets.operations.lineage.files import Position, append, lineage_folder, read_from
from lake_assets.operations.lineage.record import record
from lake_assets.operations.lineage.send import Sent, as_json, describe
from lake_assets.settings import Settings, load_settings
from tests.support.mail_servers import WebhookServer, webhook_server


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    return load_settings()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Generator[WebhookServer]:
    with webhook_server() as server:
        monkeypatch.setenv("LAKE_LINEAGE_URL", server.url)
        yield server


def write(settings: Settings, *numbers: int) -> Sent | None:
    destination = read_destination()
    assert destination is not None
    return record(settings, destination, [{"number": str(number)} for number in numbers])


def numbers_in(settings: Settings, position: Position = Position()) -> list[int]:  # noqa: B008
    return [int(json.loads(line.content)["number"]) for line in read_from(lineage_folder(settings), position)]


def test_events_are_lines_of_files_that_only_the_owner_reads(settings: Settings) -> None:
    write(settings, 1, 2)
    write(settings, 3)
    assert numbers_in(settings) == [1, 2, 3]
    [file] = lineage_folder(settings).glob("*.jsonl")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_files_have_a_bounded_size_and_number(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "FILE_BYTES", 100)
    for number in range(100):
        write(settings, number, -number)
    sizes = [path.stat().st_size for path in sorted(lineage_folder(settings).glob("*.jsonl"))]
    assert len(sizes) == files.FILES
    assert max(sizes) <= 100
    assert numbers_in(settings)[-2:] == [99, -99]


def test_line_that_a_crash_tore_is_cut_off(settings: Settings) -> None:
    write(settings, 1)
    [file] = lineage_folder(settings).glob("*.jsonl")
    with file.open("ab") as torn:
        torn.write(b'{"number": "' + b"2" * 200_000)
    assert numbers_in(settings) == [1]
    write(settings, 3)
    assert numbers_in(settings) == [1, 3]


def test_server_gets_each_event_once_and_in_order(settings: Settings, server: WebhookServer) -> None:
    write(settings, 1, 2)
    write(settings, 3)
    write(settings)
    assert [body["number"] for body in server.bodies] == ["1", "2", "3"]


@pytest.mark.parametrize("code", [302, 401, 404, 429, 500, 503])
def test_failing_server_is_counted_and_gets_all_events_later(
    settings: Settings, server: WebhookServer, code: int
) -> None:
    server.code = code
    write(settings, 1)
    sent = write(settings, 2)
    assert sent is not None
    assert (sent.failures, sent.failed, sent.events) == (2, 2, 0)
    # One request in each tick: the others would fail for the same reason.
    assert server.requests == 2
    assert f"HTTP {code}" in sent.error
    server.code = 200
    sent = write(settings, 3)
    assert [body["number"] for body in server.bodies] == ["1", "2", "3"]
    assert sent is not None
    assert (sent.failures, sent.failed, sent.error, sent.events) == (0, 2, "", 3)


def test_server_that_is_not_there_fails_no_call(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook_server() as ended:
        url = ended.url
    monkeypatch.setenv("LAKE_LINEAGE_URL", url)
    sent = write(settings, 1)
    assert sent is not None
    assert (sent.failures, sent.error) == (1, "it does not answer (ConnectionError): check LAKE_LINEAGE_URL.")


def test_event_that_the_server_refuses_does_not_stop_the_next(settings: Settings, server: WebhookServer) -> None:
    server.code = 422
    write(settings, 1)
    server.code = 200
    sent = write(settings, 2)
    assert [body["number"] for body in server.bodies] == ["2"]
    assert sent is not None
    assert (sent.refused, sent.events, sent.failures) == (1, 1, 0)


def test_events_deleted_before_the_server_took_them_are_counted(
    settings: Settings, server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "FILE_BYTES", 100)
    write(settings, 1, 2)
    server.code = 500
    for number in range(3, 103):
        write(settings, number)
    server.code = 200
    sent = write(settings)
    assert sent is not None
    received = [int(body["number"]) for body in server.bodies]
    assert received[:2] == [1, 2]
    assert received[2:] == list(range(received[2], 103))
    assert sent.lost == 102 - len(received) > 0


def test_tick_sends_for_a_bounded_time(
    settings: Settings, server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "BUDGET_SECONDS", 0.0)
    write(settings, 1, 2, 3)
    assert len(server.bodies) == 1
    write(settings)
    assert [body["number"] for body in server.bodies] == ["1", "2"]


def test_another_server_gets_the_events_that_are_in_the_files(
    settings: Settings, server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(settings, 1, 2)
    with webhook_server() as other:
        monkeypatch.setenv("LAKE_LINEAGE_URL", other.url)
        write(settings, 3)
        assert [body["number"] for body in other.bodies] == ["1", "2", "3"]


def test_files_that_were_deleted_by_hand_stop_nothing(
    settings: Settings, server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "FILE_BYTES", 100)
    for number in range(10):
        write(settings, number)
    for file in lineage_folder(settings).glob("*.jsonl"):
        file.unlink()
    write(settings, 10)
    assert server.bodies[-1]["number"] == "10"


def test_key_is_sent_from_a_file_that_only_the_owner_reads(
    settings: Settings, server: WebhookServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret\n", "utf-8")
    key.chmod(0o644)
    monkeypatch.setenv("LAKE_LINEAGE_KEY_FILE", str(key))
    sent = write(settings, 1)
    assert sent is not None
    assert server.requests == 0
    assert str(key) in sent.error
    key.chmod(0o600)
    # A login of the user's own for that host must not replace the key.
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n", "utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    sent = write(settings)
    assert sent is not None
    assert (sent.failures, server.headers[-1]["Authorization"]) == (0, "Bearer s3cret")
    stored = "".join(path.read_text("utf-8") for path in lineage_folder(settings).iterdir())
    assert "s3cret" not in stored


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"LAKE_LINEAGE": "on"}, "one of file, off"),
        ({"LAKE_LINEAGE": "off", "LAKE_LINEAGE_URL": "https://a.example"}, "set LAKE_LINEAGE to file"),
        ({"LAKE_LINEAGE_KEY_FILE": "/key"}, "LAKE_LINEAGE_URL is not"),
        ({"LAKE_LINEAGE_URL": "a.example/api"}, "an address with http"),
        ({"LAKE_LINEAGE_URL": "ftp://a.example"}, "an address with http"),
        ({"LAKE_LINEAGE_URL": "https://[a"}, "is no address"),
        ({"LAKE_LINEAGE_URL": "https://me:s3cret@a.example"}, "has a login in it"),
        ({"LAKE_LINEAGE_URL": "http://a.example", "LAKE_LINEAGE_KEY_FILE": "/key"}, "show the API key"),
        ({"LAKE_LINEAGE_NAMESPACE": ""}, "LAKE_LINEAGE_NAMESPACE is empty"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=message) as caught:
        read_destination()
    assert "s3cret" not in str(caught.value)


def test_lineage_is_written_to_files_by_default_and_can_be_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAKE_LINEAGE", "LAKE_LINEAGE_URL", "LAKE_LINEAGE_KEY_FILE", "LAKE_LINEAGE_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    destination = read_destination()
    assert destination is not None
    assert (destination.namespace, destination.url) == ("lake", "")
    monkeypatch.setenv("LAKE_LINEAGE", "off")
    assert read_destination() is None


def test_status_names_the_events_that_wait_and_why(settings: Settings, server: WebhookServer) -> None:
    server.code = 503
    write(settings, 1, 2)
    sentence = f"lineage: 2 events wait for {server.url}, which failed 1 time: it answers HTTP 503"
    shown = CliRunner().invoke(command, [])
    assert sentence in shown.output
    report = json.loads(CliRunner().invoke(command, ["--json"]).output)["lineage"]
    assert (report["waiting"], report["failures"], report["failed"]) == (2, 1, 1)
    server.code = 200
    write(settings)
    assert "lineage:" not in CliRunner().invoke(command, []).output


def test_status_names_what_was_refused_and_lost(settings: Settings, server: WebhookServer) -> None:
    destination = read_destination()
    assert destination is not None
    folder = lineage_folder(settings)
    append(folder, ["{}"])
    sending.record_lost(folder, server.url, 3)
    server.code = 400
    sending.send(folder, destination)
    assert describe(folder, destination) == [
        f"lineage: {server.url} refused 1 events, which are in {folder}.",
        f"lineage: 3 events were deleted before {server.url} took them.",
    ]
    assert as_json(folder, destination)["waiting"] == 0
