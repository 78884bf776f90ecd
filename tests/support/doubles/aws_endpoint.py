"""Base of both AWS doubles: JSON over HTTP on a free port, and failures on demand.

It does not prove signatures, permissions or quotas: every request is believed.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Fault = Literal["throttled", "unavailable", "expired", "answer lost"]
_ANSWERS = {
    "throttled": (400, "ThrottlingException", "too much at once"),
    "unavailable": (503, "Unavailable", "too much at once"),
    "expired": (400, "ExpiredTokenException", "The security token included in the request is expired"),
}


class Refused(Exception):
    """An error of the service: its code, its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Endpoint:
    """`calls` are the operations in order. `faults` are met by the next calls of an operation, once each."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.faults: list[tuple[str, Fault]] = []
        self._lock = threading.Lock()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                operation, answer = endpoint.route(self.command, self.path, dict(self.headers.items()), body)
                with endpoint._lock:
                    endpoint.calls.append(operation)
                    fault = endpoint._fault(operation)
                    if fault in _ANSWERS:
                        status, code, message = _ANSWERS[fault]
                        return self._send(status, {"__type": code, "message": message}, code)
                    try:
                        content = answer()
                    except Refused as error:
                        return self._send(400, {"__type": error.code, "message": str(error)}, error.code)
                if fault == "answer lost":
                    self.close_connection = True
                    return None
                return self._send(200, content, None)

            do_GET = do_POST = do_DELETE = _answer

            def _send(self, status: int, body: object, error: str | None) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(content)))
                if error:
                    self.send_header("x-amzn-errortype", error)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def route(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[str, Callable[[], Any]]:
        """The operation's name, and what answers it."""
        raise NotImplementedError

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _fault(self, operation: str) -> Fault | None:
        for index, (wanted, fault) in enumerate(self.faults):
            if wanted == operation:
                del self.faults[index]
                return fault
        return None
