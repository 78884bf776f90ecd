"""The list of what is shipped, and the look-up of known vulnerabilities."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from lake_assets.errors import Unavailable
from lake_assets.stack.bill_of_materials import Package, locked_packages, render, vulnerabilities
from lake_assets.stack.jar_lock import read_lock
from tests.support.buckets import free_port

GOOD = Package("good", "1", "pkg:pypi/good@1", "")
BAD = Package("a:bad", "2", "pkg:maven/a/bad@2", "ab")


class Database(BaseHTTPRequestHandler):
    """A double of OSV, which knows one vulnerability."""

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        known = {BAD.url: {"vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]}}
        body = json.dumps({"results": [known.get(query["package"]["purl"], {}) for query in queries]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def database() -> Generator[str]:
    server = HTTPServer(("127.0.0.1", 0), Database)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def test_all_locked_packages_and_jars_are_listed() -> None:
    components = json.loads(render(locked_packages()))["components"]
    urls = {component["purl"] for component in components}
    assert {
        f"pkg:maven/{j.coordinates.organisation}/{j.coordinates.name}@{j.coordinates.revision}" for j in read_lock()
    } <= urls
    assert any(url.startswith("pkg:pypi/dagster@") for url in urls)
    assert not any("lake-assets" in url for url in urls)
    assert all(component["hashes"] for component in components if component["purl"].startswith("pkg:maven"))


def test_packages_with_known_vulnerabilities_are_named() -> None:
    with database() as address:
        assert vulnerabilities([GOOD, BAD], address) == {BAD.url: ["CVE-1", "CVE-2"]}


def test_without_the_database_one_sentence_reports_that_no_check_ran() -> None:
    with pytest.raises(Unavailable, match="no package was checked") as failure:
        vulnerabilities([GOOD], f"http://127.0.0.1:{free_port()}/")
    assert "\n" not in str(failure.value)
