"""Serve an instance's metrics for Prometheus."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stream_app.status import Status


def serve(status: Status, port: int) -> int:
    """Answer each GET on 127.0.0.1 with the metrics, in a daemon thread; return the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = status.as_prometheus().encode()
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
