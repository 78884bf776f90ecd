"""An SMTP server and a webhook on this machine, which keep what they receive."""

import json
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.support.buckets import free_port


class Mailbox:
    """A handler of aiosmtpd that keeps the mails and refuses receivers of the domain `refused.example`."""

    def __init__(self) -> None:
        self.mails: list[tuple[list[str], EmailMessage]] = []

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, to: str, options: list[str]) -> str:
        if to.endswith("@refused.example"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = cast("bytes", envelope.content)
        self.mails.append((list(envelope.rcpt_tos), cast("EmailMessage", message_from_bytes(content, policy=default))))
        return "250 OK"


@contextmanager
def mail_server(
    certificate: Path | None = None, login: tuple[str, str] | None = None
) -> Generator[tuple[str, Mailbox]]:
    """Yield the server's address; with a certificate it demands STARTTLS, with a login a password."""
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)

    def authenticate(server: object, session: object, envelope: object, mechanism: str, given: Any) -> AuthResult:
        right = isinstance(given, LoginPassword) and login is not None
        is_known = right and (given.login.decode(), given.password.decode()) == login
        return AuthResult(success=is_known, handled=False)

    mailbox, port = Mailbox(), free_port()
    server = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=port,
        tls_context=context,
        require_starttls=bool(context),
        authenticator=authenticate,
        auth_required=bool(login),
        auth_require_tls=bool(context),
    )
    server.start()
    try:
        yield f"127.0.0.1:{port}", mailbox
    finally:
        server.stop()


class WebhookServer(ThreadingHTTPServer):
    """Answers with `code`, and keeps the bodies of accepted requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.code = 200
        self.bodies: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/services/T0/secret"


class _Request(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = cast("WebhookServer", self.server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.requests += 1
        server.headers.append(dict(self.headers))
        if server.code == 200:
            server.bodies.append(json.loads(body))
        self.send_response(server.code)
        self.send_header("Location", server.url)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""


@contextmanager
def webhook_server() -> Generator[WebhookServer]:
    with WebhookServer() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
