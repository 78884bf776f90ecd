"""A team's own token endpoint: over HTTPS, for one client with its secret, it signs tokens for Kafka's broker."""

import json
import ssl
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ISSUER = "https://issuer.example"
AUDIENCE = "kafka"
SCOPE = "lake"
KEY_ID = "of-this-test"


class TokenServer:
    """`jwks` is the file by which the broker knows the key. Tokens are good for `seconds` at the
    `audience`, and `given` of them are out."""

    def __init__(self, port: int, jwks: Path, client: str, secret: str) -> None:
        self.url = f"https://127.0.0.1:{port}/token"
        self.jwks = jwks
        self.seconds = 60
        self.given = 0
        self.audience = AUDIENCE
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        self._basic = f"{client}:{secret}"
        numbers = self._key.public_key().public_numbers()
        public = {
            "kty": "RSA",
            "kid": KEY_ID,
            "use": "sig",
            "alg": "RS256",
            "n": _number(numbers.n),
            "e": _number(65_537),
        }
        jwks.write_text(json.dumps({"keys": [public]}), "utf-8")

    def answer(self, authorization: str, form: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """The status and the body for who asks with these."""
        kind, _, credentials = authorization.partition(" ")
        if kind != "Basic" or b64decode(credentials).decode() != self._basic:
            return 401, {"error": "invalid_client", "error_description": "no such client, or another secret"}
        if form.get("grant_type") != ["client_credentials"] or form.get("scope") != [SCOPE]:
            return 400, {"error": "invalid_scope"}
        self.given += 1
        return 200, {"access_token": self._token(), "token_type": "Bearer", "expires_in": self.seconds}

    def _token(self) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": self.audience,
            "sub": "lake",
            "scope": SCOPE,
            "iat": now,
            "exp": now + self.seconds,
        }
        text = f"{_part({'alg': 'RS256', 'typ': 'JWT', 'kid': KEY_ID})}.{_part(claims)}"
        return f"{text}.{_base64(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@contextmanager
def serving(server: TokenServer, keystore: Path) -> Generator[None]:
    """`keystore` has key and certificate; ended with the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            status, body = server.answer(self.headers.get("Authorization", ""), form)
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keystore)
    port = int(server.url.split(":")[-1].split("/")[0])
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            http.shutdown()


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _part(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
