"""Proxy that counts the requests and bytes to a server.

It is a separate process: clients that hold Python's lock while they wait would otherwise block it.
"""

import json
import multiprocessing
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection

import requests

# What belongs to one connection and not to the message.
_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
_COUNTED = "/-counted"


@dataclass(frozen=True)
class Passed:
    """Counted requests. `calls` by method, with LIST for object listings; `sent` is the bytes of request bodies."""

    calls: dict[str, int]
    sent: int


@contextmanager
def counting(behind: str) -> "Generator[tuple[str, Callable[[], Passed]]]":
    """Start a proxy to the server at `behind`; return its address and a function for the counts since its last call."""
    ours, its = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(behind, its), daemon=True)
    process.start()
    address = f"http://127.0.0.1:{ours.recv()}"
    try:
        yield address, lambda: Passed(**requests.get(address + _COUNTED, timeout=60).json())
    finally:
        process.kill()
        process.join()


def _serve(behind: str, parent: Connection) -> None:
    calls: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self._body()
            if self.path == _COUNTED:
                sent = calls.pop("bytes", 0)
                content = json.dumps({"calls": dict(calls), "sent": sent}).encode()
                calls.clear()
                return self._send(200, {}, len(content), content)
            listing = self.command == "GET" and ("list-type=" in self.path or self.path.split("?")[0].endswith("/o"))
            calls["LIST" if listing else self.command] += 1
            calls["bytes"] += len(body)
            kept = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            with requests.request(
                self.command, behind + self.path, headers=kept, data=body, stream=True, timeout=60
            ) as answer:
                content = answer.raw.read()
                length = int(answer.headers.get("content-length", 0)) if self.command == "HEAD" else len(content)
                here = f"http://{self.headers['Host']}"
                headers = {n: v.replace(behind, here) for n, v in answer.headers.items() if n.lower() not in _HOP}
                self._send(answer.status_code, headers, length, content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _pass

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts: list[bytes] = []
            while length := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(length))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _send(self, status: int, headers: dict[str, str], length: int, content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    parent.send(server.server_address[1])
    server.serve_forever()
