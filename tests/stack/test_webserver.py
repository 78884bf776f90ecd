"""Requests that Dagster's web UI answers."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from dagster_webserver import cli
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from lake_assets.stack import webserver
from lake_assets.stack.webserver import protect

CROSS = {"Sec-Fetch-Site": "cross-site"}
LINK = {**CROSS, "Sec-Fetch-Mode": "navigate"}


async def answer(_: Request) -> PlainTextResponse:
    return PlainTextResponse("answered")


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("answered")
    await socket.close()


@pytest.fixture
def client() -> TestClient:
    routes = [
        Route("/graphql", answer, methods=["GET", "POST"]),
        Route("/runs", answer),
        WebSocketRoute("/graphql", echo),
    ]
    return TestClient(protect(Starlette(routes=routes), "lake.example other.example"), "http://127.0.0.1:3000")


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({}, "/graphql"),
        ({"Host": "localhost:3000"}, "/graphql"),
        ({"Host": "Lake.example"}, "/graphql"),
        ({"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-origin"}, "/graphql"),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, "/runs"),
        (LINK, "/runs"),
    ],
)
def test_requests_of_its_own_hosts_and_pages_are_answered(
    client: TestClient, headers: Mapping[str, str], path: str
) -> None:
    assert client.get(path, headers=headers).text == "answered"


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({"Host": "evil.example"}, "/graphql"),
        ({"Host": "evil.example:3000"}, "/runs"),
        ({"Host": "127.0.0.1.evil.example"}, "/runs"),
        ({"Host": ""}, "/runs"),
        ({"Host": "[::"}, "/runs"),
        ({"Origin": "http://evil.example"}, "/graphql"),
        ({"Origin": "null"}, "/graphql"),
        (CROSS, "/graphql"),
        (LINK, "/graphql"),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, "/runs"),
    ],
)
def test_other_hosts_and_other_sites_pages_are_refused(
    client: TestClient, headers: Mapping[str, str], path: str
) -> None:
    refusal = client.get(path, headers=headers)
    assert refusal.status_code == 403
    assert "LAKE_DAGSTER_HOSTS" in refusal.text


def test_another_sites_page_opens_no_websocket(client: TestClient) -> None:
    with client.websocket_connect("/graphql", headers={"Host": "127.0.0.1"}) as own:
        assert own.receive_text() == "answered"
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/graphql", headers={"Host": "127.0.0.1", "Origin": "http://evil.example"}),
    ):
        pass


@pytest.mark.parametrize(("key", "status"), [(None, 200), ("key of the file\n", 401)])
def test_key_is_asked_for_when_a_file_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None, status: int
) -> None:
    """Containers have no key, unless one is mounted."""
    monkeypatch.delenv("LAKE_DAGSTER_KEY_FILE", raising=False)
    if key is not None:
        (tmp_path / "key").write_text(key, "utf-8")
        monkeypatch.setenv("LAKE_DAGSTER_KEY_FILE", str(tmp_path / "key"))
    routes = [Route("/runs", answer), Route("/server_info", answer)]
    monkeypatch.setattr(cli, "create_app_from_workspace_process_context", lambda: Starlette(routes=routes))
    served: list[Starlette] = []
    monkeypatch.setattr(cli, "cli", lambda **_: served.append(cli.create_app_from_workspace_process_context()))
    webserver.main()
    client = TestClient(served[0], "http://127.0.0.1:3000")
    assert client.get("/runs").status_code == status
    assert client.get("/runs", headers={"Authorization": "Bearer key of the file"}).status_code == 200
    assert client.get("/server_info").status_code == 200
