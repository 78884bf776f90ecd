"""Credentials that a cloud gives a container by an address and a token file, as EKS Pod Identity does."""

import json
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lake_assets.bucket import read


@contextmanager
def answering(status: int, content: bytes) -> Generator[tuple[str, list[str]]]:
    """A server of one answer: its address, and the `Authorization` header of each request."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content if self.command == "GET" else b"")

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_bucket_is_read_with_the_credentials_of_the_pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    (tmp_path / "token").write_text("of-the-pod", "utf-8")
    keys = {"AccessKeyId": "POD", "SecretAccessKey": "x", "Token": "y", "Expiration": "2099-01-01T00:00:00Z"}
    with answering(200, json.dumps(keys).encode()) as (pod, tokens), answering(404, b"") as (bucket, requests):
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{pod}/v1/credentials")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket)
        assert read("s3://lake/none") is None
    assert set(tokens) == {"of-the-pod"}
    assert all(header.startswith("AWS4-HMAC-SHA256 Credential=POD/") for header in requests)
    assert requests
