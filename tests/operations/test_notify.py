"""Notifications: what owners learn, and by which channels. Servers of HTTP and SMTP are real, and on this machine."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lake_assets.errors import SettingsError, Unavailable
from lake_assets.operations.notify.changes import Message, Problem, find_changes, known_by_owner
from lake_assets.operations.notify.channels import read_channels
from lake_assets.operations.notify.deliver import deliver
from lake_assets.operations.notify.problems import STALE_AFTER, Behind, Mart, find_behind, stale_marts
from tests.support.certificates import Authority
from tests.support.mail_servers import WebhookServer, mail_server, webhook_server

HELD = Problem("held back leads", ("crm@example.com",), "leads: 1 window is held back.")
MORE = Problem("held back leads", ("crm@example.com",), "leads: 2 windows are held back.")
BOTH = Problem("failure sales", ("crm@example.com", "shop@example.com"), "sales: <b> & co cannot be built.")


@dataclass
class Recorder:
    """A channel that keeps messages, and fails for owners that it refuses."""

    name: str = "recorder"
    refuses: str = ""
    messages: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        if message.owner == self.refuses:
            raise Unavailable("no answer")
        self.messages.append(message)


def changes(before: Sequence[Problem], after: Sequence[Problem]) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    found = find_changes(known_by_owner(before), known_by_owner(after))
    return [(message.owner, message.new, message.resolved) for message in found]


def test_owner_gets_one_message_with_all_changes() -> None:
    assert changes([], [HELD, BOTH]) == [
        ("crm@example.com", (HELD.sentence, BOTH.sentence), ()),
        ("shop@example.com", (BOTH.sentence,), ()),
    ]
    assert changes([HELD, BOTH], [BOTH]) == [("crm@example.com", (), (HELD.sentence,))]


def test_problem_that_lasts_is_not_sent_again() -> None:
    assert changes([HELD], [HELD]) == []
    assert changes([HELD], [MORE]) == []


def test_message_names_the_first_of_many_changes() -> None:
    message = Message("crm@example.com", tuple(f"problem {number}" for number in range(30)), ("over",))
    assert message.subject == "Lake: 30 new, 1 resolved problems"
    assert len(message.lines) == 21
    assert message.lines[-1] == "11 more: see `lake status`."


def test_changes_that_a_channel_did_not_take_are_sent_later() -> None:
    first, second = Recorder("first", refuses="crm@example.com"), Recorder("second")
    known, failed = deliver([first, second], {}, [HELD, BOTH])
    assert failed == ["first: no answer"]
    assert ([m.owner for m in first.messages], len(second.messages)) == ([], 2)
    first.refuses = "shop@example.com"
    known, failed = deliver([first, second], known, [BOTH])
    assert [(m.owner, m.new) for m in first.messages] == [("crm@example.com", (BOTH.sentence,))]
    first.refuses = ""
    known, failed = deliver([first, second], known, [])
    assert [(m.owner, m.resolved) for m in first.messages[1:]] == [("crm@example.com", (BOTH.sentence,))]
    assert (known, failed) == ({"first": {}, "second": {}}, [])


@pytest.fixture
def webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[WebhookServer]:
    with webhook_server() as server:
        file = tmp_path / "webhook"
        file.write_text(f"{server.url}\n", "utf-8")
        file.chmod(0o600)
        monkeypatch.setenv("LAKE_NOTIFY_WEBHOOK_FILE", str(file))
        yield server


def send(problems: Sequence[Problem], channel: str) -> list[str]:
    """Send the problems by the log and that channel of the environment; return what failed."""
    channels = read_channels()
    assert [each.name for each in channels] == ["log", channel]
    return deliver(channels, {}, problems)[1]


def test_webhook_gets_a_message_in_the_shape_of_slacks(webhook: WebhookServer) -> None:
    assert send([BOTH], "webhook") == []
    assert webhook.bodies[1] == {
        "text": "*Lake: 1 new problem* (shop@example.com)\n• sales: &lt;b&gt; &amp; co cannot be built."
    }


@pytest.mark.parametrize("code", [404, 302])
def test_webhook_that_refuses_is_named_without_its_address(code: int, webhook: WebhookServer) -> None:
    webhook.code = code
    assert send([HELD], "webhook") == [f"webhook: the webhook answers HTTP {code}: check its address."]
    assert webhook.requests == 1
    webhook.shutdown()
    webhook.server_close()
    [failure] = send([HELD], "webhook")
    assert failure == "webhook: the webhook does not answer (ConnectionError): check its address."


def test_webhook_needs_tls_and_a_private_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "webhook"
    file.write_text("http://hooks.example.com/secret", "utf-8")
    monkeypatch.setenv("LAKE_NOTIFY_WEBHOOK_FILE", str(file))
    file.chmod(0o644)
    assert "others may read it: run `chmod 600" in send([HELD], "webhook")[0]
    file.chmod(0o600)
    assert send([HELD], "webhook") == [
        f"webhook: {file} has no https address: write the address of the webhook into it."
    ]


def mail_settings(monkeypatch: pytest.MonkeyPatch, address: str, **more: str) -> None:
    settings = {"SMTP": address, "FROM": "lake@example.com", "TO": "owners ops@example.com", **more}
    for name, value in settings.items():
        monkeypatch.setenv(f"LAKE_NOTIFY_{name}", value)


def test_mail_goes_to_owners_and_fixed_receivers(monkeypatch: pytest.MonkeyPatch) -> None:
    team = Problem("stale sales", ("team:sales",), "sales_data_mart.sales: was never built.\x1b[2J")
    with mail_server() as (address, mailbox):
        mail_settings(monkeypatch, address, SMTP_SECURITY="none")
        assert send([HELD, team], "email") == []
    (receivers, first), (others, second) = mailbox.mails
    assert (receivers, others) == (["crm@example.com", "ops@example.com"], ["ops@example.com"])
    assert (first["Subject"], first["From"]) == ("Lake: 1 new problem", "lake@example.com")
    assert first.get_content().splitlines() == ["Owner: crm@example.com", "", "- leads: 1 window is held back."]
    assert "\\x1b[2J" in second.get_content()


def test_mail_server_gets_the_password_by_tls_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority.make(tmp_path / "ca.pem")
    certificate, password = tmp_path / "server.pem", tmp_path / "password"
    certificate.write_bytes(authority.issue("127.0.0.1"))
    password.write_text("open sesame", "utf-8")
    password.chmod(0o600)
    with mail_server(certificate, ("lake", "open sesame")) as (address, mailbox):
        mail_settings(monkeypatch, address, SMTP_USER="lake", SMTP_PASSWORD_FILE=str(password))
        assert send([HELD], "email") == [
            f"email: {address} does not take e-mail (SSLCertVerificationError): check its address and login."
        ]
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca))
        assert send([HELD], "email") == []
        password.write_text("wrong", "utf-8")
        assert send([HELD], "email") == [f"email: {address} does not take e-mail (535): check its address and login."]
    assert len(mailbox.mails) == 1


def test_mail_that_one_receiver_does_not_get_has_failed_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as (address, mailbox):
        mail_settings(monkeypatch, address, SMTP_SECURITY="none", TO="a@refused.example")
        assert send([HELD], "email") == [
            f"email: {address} does not take e-mail (SMTPRecipientsRefused): check its address and login."
        ]
    assert mailbox.mails == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"SMTP": "mail"}, "LAKE_NOTIFY_SMTP is 'mail': it must be HOST:PORT"),
        ({"SMTP": "mail:25"}, "set LAKE_NOTIFY_FROM and LAKE_NOTIFY_TO too"),
        ({"TO": "owners"}, "LAKE_NOTIFY_TO is set, but LAKE_NOTIFY_SMTP is not"),
        ({"SMTP": "mail:25", "FROM": "a@b", "TO": "c@d", "SMTP_USER": "lake"}, "together, or neither"),
        ({"SMTP": "mail:25", "FROM": "a@b", "TO": "c@d", "SMTP_SECURITY": "ssl"}, "one of starttls, tls, none"),
        (
            {
                "SMTP": "mail:25", "FROM": "a@b", "TO": "c@d", "SMTP_SECURITY": "none", "SMTP_USER": "lake",
                "SMTP_PASSWORD_FILE": "p",
            },
            "would show the password",
        ),
    ],
)  # fmt: skip
def test_wrong_setting_of_notifications_is_refused(
    settings: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"LAKE_NOTIFY_{name}", value)
    with pytest.raises(SettingsError, match=sentence):
        read_channels()


MART = Mart(("sales_data_mart", "sales"), ("team:sales",), (("sales_staging", "sales"),))
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def sentences(minutes: Sequence[tuple[int, float, float]]) -> list[list[str]]:
    """Return the stale marts at each tick: minute, and times at which mart and staging were built, in minutes."""
    behind: dict[str, Behind] = {}
    found: list[list[str]] = []
    for minute, mart, staging in minutes:
        now = NOON + timedelta(minutes=minute)
        builds = {MART.key: NOON.timestamp() + 60 * mart, MART.sources[0]: NOON.timestamp() + 60 * staging}
        behind = find_behind([MART], builds, behind, now)
        found.append([problem.sentence for problem in stale_marts([MART], behind, now)])
    return found


def test_mart_is_stale_when_it_stays_behind_its_staging_tables() -> None:
    limit = STALE_AFTER.total_seconds() / 60
    ticks = sentences([(0, -9, -5), (int(limit) - 1, -9, 3), (int(limit), -9, 3), (int(limit) + 1, 31, 3)])
    assert [len(tick) for tick in ticks] == [0, 0, 1, 0]
    assert ticks[2][0].startswith("sales_data_mart.sales: was last built at 2026-11-01 11:51 UTC, and its staging")


def test_mart_that_is_built_again_and_again_is_not_stale() -> None:
    ticks = sentences([(minute, minute - 2, minute - 1) for minute in range(100)])
    assert not any(ticks)


def test_mart_that_was_never_built_is_stale_when_it_has_rows_to_read() -> None:
    late = NOON + STALE_AFTER
    behind = find_behind([MART], {MART.sources[0]: 1.0}, find_behind([MART], {MART.sources[0]: 1.0}, {}, NOON), late)
    [problem] = stale_marts([MART], behind, late)
    assert "was never built" in problem.sentence
    assert find_behind([MART], {}, {}, NOON) == {}
