"""Channels of notifications: the log, a webhook in the shape of Slack's, and e-mail. Settings are read at each use."""

import logging
import smtplib
import ssl
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from lake_assets.errors import SettingsError, Unavailable
from lake_assets.kafka_security import read_password
from lake_assets.operations.notify.changes import Message
from lake_assets.printable import printable
from lake_assets.variables import VariableName, read_variable

SECONDS = 10.0
SECURITY = ("starttls", "tls", "none")
# Stands for the owners' own addresses.
OWNERS = "owners"
_log = logging.getLogger("lake_assets.notify")


class Channel(Protocol):
    """A way to owners. `send` returns when the message is accepted; it raises LakeError without any secret."""

    @property
    def name(self) -> str: ...

    def send(self, message: Message) -> None: ...


@dataclass(frozen=True, slots=True)
class LogChannel:
    """The log of the process, which is always there."""

    name: str = "log"
    write: Callable[[str], None] = _log.warning

    def send(self, message: Message) -> None:
        for line in message.lines:
            self.write(f"{message.owner}: {printable(line)}")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook of Slack or of another program that takes its shape. Its URL is a secret."""

    file: Path
    name: str = "webhook"

    def send(self, message: Message) -> None:
        import requests

        url = read_password(self.file, "LAKE_NOTIFY_WEBHOOK_FILE")
        address = urlsplit(url)
        if address.scheme != "https" and address.hostname not in ("127.0.0.1", "localhost"):
            raise SettingsError(f"{self.file} has no https address: write the address of the webhook into it.")
        lines = "\n".join(f"• {_escape(line)}" for line in message.lines)
        text = f"*{message.subject}* ({_escape(message.owner)})\n{lines}"
        try:
            reply = requests.post(url, json={"text": text}, timeout=SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            # Its text has the URL.
            raise Unavailable(f"the webhook does not answer ({type(error).__name__}): check its address.") from None
        if not reply.ok or reply.is_redirect:
            raise Unavailable(f"the webhook answers HTTP {reply.status_code}: check its address.")


@dataclass(frozen=True, slots=True)
class Mail:
    """E-mail by an SMTP server, to fixed addresses, to the owners, or to both."""

    host: str
    port: int
    security: str
    sender: str
    recipients: tuple[str, ...]
    user: str = ""
    password_file: Path | None = None
    name: str = "email"

    def send(self, message: Message) -> None:
        to = list(dict.fromkeys(self._addresses(message.owner)))
        if not to:
            return
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = message.subject, self.sender, ", ".join(to)
        mail.set_content(f"Owner: {message.owner}\n\n" + "\n\n".join(f"- {printable(line)}" for line in message.lines))
        password = read_password(self.password_file, "LAKE_NOTIFY_SMTP_PASSWORD_FILE") if self.password_file else ""
        try:
            # Without `closing` a failed handshake would be followed by QUIT, and a wait for its answer.
            with closing(self._connect()) as server:
                if self.security == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if self.user:
                    server.login(self.user, password)
                server.send_message(mail)
                server.quit()
        except (OSError, smtplib.SMTPException) as error:
            reason = f"{error.smtp_code}" if isinstance(error, smtplib.SMTPResponseException) else type(error).__name__
            raise Unavailable(
                f"{self.host}:{self.port} does not take e-mail ({reason}): check its address and login."
            ) from None

    def _addresses(self, owner: str) -> Sequence[str]:
        fixed = [address for address in self.recipients if address != OWNERS]
        # Owners of marts may be teams, which have no address.
        return [owner, *fixed] if OWNERS in self.recipients and "@" in owner else fixed

    def _connect(self) -> smtplib.SMTP:
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=SECONDS, context=ssl.create_default_context())
        return smtplib.SMTP(self.host, self.port, timeout=SECONDS)


def read_channels() -> list[Channel]:
    """Return the log, and the channels that the environment sets. Raises SettingsError."""
    channels: list[Channel] = [LogChannel()]
    if webhook := read_variable("LAKE_NOTIFY_WEBHOOK_FILE"):
        channels.append(Webhook(Path(webhook).expanduser()))
    if address := read_variable("LAKE_NOTIFY_SMTP"):
        channels.append(_mail(address))
    else:
        for variable in _OF_MAIL:
            if read_variable(variable):
                raise SettingsError(f"{variable} is set, but LAKE_NOTIFY_SMTP is not: set it to the mail server.")
    return channels


_OF_MAIL: tuple[VariableName, ...] = (
    "LAKE_NOTIFY_SMTP_SECURITY",
    "LAKE_NOTIFY_SMTP_USER",
    "LAKE_NOTIFY_SMTP_PASSWORD_FILE",
    "LAKE_NOTIFY_FROM",
    "LAKE_NOTIFY_TO",
)


def _mail(address: str) -> Mail:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise SettingsError(f"LAKE_NOTIFY_SMTP is '{address}': it must be HOST:PORT, such as mail.example.com:587.")
    security = read_variable("LAKE_NOTIFY_SMTP_SECURITY", SECURITY[0])
    if security not in SECURITY:
        raise SettingsError(f"LAKE_NOTIFY_SMTP_SECURITY is '{security}': it must be one of {', '.join(SECURITY)}.")
    sender, recipients = read_variable("LAKE_NOTIFY_FROM", ""), read_variable("LAKE_NOTIFY_TO", "").split()
    if not sender or not recipients:
        raise SettingsError("LAKE_NOTIFY_SMTP is set: set LAKE_NOTIFY_FROM and LAKE_NOTIFY_TO too.")
    user, file = read_variable("LAKE_NOTIFY_SMTP_USER", ""), read_variable("LAKE_NOTIFY_SMTP_PASSWORD_FILE", "")
    if bool(user) != bool(file):
        raise SettingsError("set LAKE_NOTIFY_SMTP_USER and LAKE_NOTIFY_SMTP_PASSWORD_FILE together, or neither.")
    if user and security == "none" and host not in ("127.0.0.1", "localhost"):
        raise SettingsError("LAKE_NOTIFY_SMTP_SECURITY is 'none', which would show the password: set it to starttls.")
    path = Path(file).expanduser() if file else None
    return Mail(host, int(port), security, sender, tuple(recipients), user, path)


def _escape(text: str) -> str:
    """Escape the three characters that Slack reads as markup."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
