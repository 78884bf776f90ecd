"""A real Superset with the examples' boards, asked by its API."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from lake_assets.catalog.board import Board
from lake_assets.catalog.model import Asset
from lake_assets.compile.board_query import chart_query
from lake_assets.dbt.boards import read_boards
from lake_assets.dbt.manifest import load_manifest
from lake_assets.settings import Settings
from lake_assets.stack.superset import prepare_superset
from lake_assets.waiting import poll_until

READY_SECONDS = 200.0


@dataclass(frozen=True, slots=True)
class Api:
    """A session with Superset's REST API as one user, as its pages have one."""

    address: str
    session: requests.Session

    def get(self, path: str) -> requests.Response:
        return self.session.get(self.address + path, timeout=60)

    def post(self, path: str, body: object) -> requests.Response:
        return self.session.post(self.address + path, json=body, timeout=60)


def log_in(address: str, name: str, password: str) -> Api:
    session = requests.Session()
    body = {"username": name, "password": password, "provider": "db"}
    token = session.post(f"{address}/api/v1/security/login", json=body, timeout=60).json()["access_token"]
    session.headers["Authorization"] = f"Bearer {token}"
    session.headers["Referer"] = address
    session.headers["X-CSRFToken"] = session.get(f"{address}/api/v1/security/csrf_token/", timeout=60).json()["result"]
    return Api(address, session)


def boards(lake: Settings, assets: Mapping[str, Asset]) -> list[Board]:
    return list(read_boards(load_manifest(lake), {}, assets.values()).boards)


@pytest.fixture
def address(built: Settings) -> Generator[str]:
    """The address that `lake bi superset` prints, once the server there answers."""
    log = built.home / "superset.log"
    lake = str(Path(sys.executable).with_name("lake"))
    with log.open("wb") as output:
        process = subprocess.Popen([lake, "bi", "superset"], stdout=output, stderr=output, start_new_session=True)
    try:
        printed = poll_until(lambda: printed_address(process, log), bool, READY_SECONDS, every=0.5)
        assert printed is not None
        poll_until(lambda: is_healthy(printed), bool, READY_SECONDS, every=0.5)
        yield printed
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def printed_address(process: "subprocess.Popen[bytes]", log: Path) -> str | None:
    match = re.search(r"^Superset  (\S+) ", log.read_text("utf-8"), re.MULTILINE)
    assert match or process.poll() is None, log.read_text("utf-8")
    return match[1] if match else None


def is_healthy(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=10).ok
    except requests.RequestException:
        return False


def test_superset_shows_the_numbers_of_the_lake(address: str, built: Settings, catalog: Mapping[str, Asset]) -> None:
    """One test, because a Superset takes a minute to start."""
    admin = log_in(address, "admin", (built.home / "superset" / "secrets" / "admin").read_text("utf-8"))
    described = boards(built, catalog)
    # Without the charts of metrics, which the command has imported and which have no tables in this lake.
    prepare_superset(built, described, print)
    counts = count_all(admin)
    # Imported again, nothing is there twice.
    prepare_superset(built, described, print)
    assert count_all(admin) == counts
    assert counts["dashboard"] == len(described)
    assert counts["chart"] == counts["dataset"] == sum(len(board.charts) for board in described)
    found = {
        chart["slice_name"]: chart["id"] for chart in admin.get("/api/v1/chart/?q=(page_size:100)").json()["result"]
    }
    with psycopg.connect(built.postgres.conninfo("analyst")) as analyst:
        for board in described:
            for chart in board.charts:
                reply = admin.get(f"/api/v1/chart/{found[chart.title]}/data/")
                assert reply.status_code == 200, reply.text
                rows = [[row[name] for name in row] for row in reply.json()["result"][0]["data"]]
                expected = analyst.execute(chart_query(chart)).fetchall()  # type: ignore[arg-type]
                assert rounded(rows) == rounded(expected), chart.title
    # Postgres decides, also for an administrator of Superset.
    sql = {"database_id": 1, "sql": "select * from ducklake.ducklake_table", "schema": "ducklake"}
    refused = admin.post("/api/v1/sqllab/execute/", sql)
    assert "permission denied for schema ducklake" in refused.text
    check_reader(admin, described)
    page = requests.get(f"{address}/login/", timeout=60)
    assert "scarf" not in page.headers["Content-Security-Policy"]
    assert "https:" not in page.headers["Content-Security-Policy"]
    # A chart that is left out is removed, and nothing else.
    prepare_superset(built, described[:1], print)
    assert count_all(admin)["dashboard"] == 1
    assert count_all(admin)["chart"] == len(described[0].charts)


def check_reader(admin: Api, described: list[Board]) -> None:
    """See the boards as one of their readers, who may open neither SQL Lab nor connections."""
    roles = {
        role["name"]: role["id"] for role in admin.get("/api/v1/security/roles/?q=(page_size:100)").json()["result"]
    }
    user = {
        "first_name": "Ann",
        "last_name": "A",
        "username": "ann",
        "email": "ann@example.com",
        "password": "secret-1",
    }
    reply = admin.post(
        "/api/v1/security/users/", user | {"active": True, "roles": [roles["Gamma"], roles["Lake readers"]]}
    )
    assert reply.status_code == 201, reply.text
    ann = log_in(admin.address, "ann", "secret-1")
    assert ann.get("/api/v1/dashboard/").json()["count"] == len(described)
    chart = ann.get("/api/v1/chart/").json()["result"][0]["id"]
    assert ann.get(f"/api/v1/chart/{chart}/data/").status_code == 200
    assert ann.post("/api/v1/sqllab/execute/", {"database_id": 1, "sql": "select 1"}).status_code == 403
    assert ann.get("/api/v1/database/1/connection").status_code in (403, 404)


def count_all(api: Api) -> dict[str, int]:
    return {kind: api.get(f"/api/v1/{kind}/").json()["count"] for kind in ("dashboard", "chart", "dataset", "database")}


def rounded(rows: list[Any]) -> list[tuple[object, ...]]:
    """Return rows as they compare: times as milliseconds, numbers with six digits, in one order."""
    return sorted((tuple(map(_comparable, row)) for row in rows), key=str)


def _comparable(value: Any) -> object:
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        return round(float(value), 6)
    return round(float(int(value.strftime("%s")) * 1000), 6)
