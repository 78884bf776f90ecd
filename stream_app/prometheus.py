"""Serve the metrics of instances for Prometheus."""

import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stream_app.status import Status, as_prometheus


def serve(statuses: Callable[[], Sequence[Status]], port: int) -> int:
    """Answer each GET on 127.0.0.1 with the metrics, in a daemon thread; return the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = as_prometheus(statuses()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port
