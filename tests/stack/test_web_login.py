"""Logins to the web pages of a lake: with the key of the page, which no other user of the machine can read."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from lake_assets.web_key import keep_key, read_key, with_key
from lake_assets.web_login import KeyRequired

KEY = "correct-horse_battery"
ADDRESS = "http://127.0.0.1:3000"


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"answered {request.url.query}")


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("answered")
    await socket.close()


def browser(address: str = ADDRESS) -> TestClient:
    routes = [WebSocketRoute("/stream", echo), Route("/{path:path}", answer)]
    login = Middleware(KeyRequired, key=KEY, page="dagster", is_open="/health")
    return TestClient(Starlette(routes=routes, middleware=[login]), address, follow_redirects=False)


def test_without_the_key_only_the_probe_is_answered() -> None:
    client = browser()
    for path in ("/", "/runs/1", "/health/", "/stream", "/graphql?query={version}"):
        refusal = client.get(path)
        assert refusal.status_code == 401
        assert "`lake open dagster`" in refusal.text
    assert client.get("/health").text == "answered "
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/stream"):
        pass


def test_key_in_an_address_is_exchanged_for_a_cookie_and_vanishes() -> None:
    client = browser()
    moved = client.get(f"/runs?a=1&key={KEY}&b=&a=%26")
    assert moved.status_code == 303
    assert moved.headers["location"] == "/runs?a=1&b=&a=%26"
    assert moved.headers["cache-control"] == "no-store"
    assert {"HttpOnly", "SameSite=lax"} <= set(moved.headers["set-cookie"].split("; "))
    assert client.get(moved.headers["location"]).text == "answered a=1&b=&a=%26"
    with client.websocket_connect("ws://127.0.0.1:3000/stream") as socket:
        assert socket.receive_text() == "answered"


def test_cookie_of_another_lake_on_this_machine_is_no_login() -> None:
    client = browser()
    client.get(with_key("", KEY))
    [(name, value)] = client.cookies.items()
    assert client.get("/").status_code == 200
    other = browser("http://127.0.0.1:3001")
    assert other.get("/", headers={"Cookie": f"{name}={value}"}).status_code == 401


def test_program_sends_the_key_in_a_header() -> None:
    assert browser().get("/", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    for wrong in ("", "Bearer", f"Basic {KEY}", f"Bearer {KEY}x", KEY):
        assert browser().get("/", headers={"Authorization": wrong}).status_code == 401


@pytest.mark.parametrize("path", ["//evil.example", "///evil.example/a", "/\\\\evil.example"])
def test_login_never_leads_to_another_host(path: str) -> None:
    """Browsers take `//evil.example` for an address of another host."""
    location = browser().get(f"{ADDRESS}{path}?key={KEY}").headers["location"]
    assert location.startswith("/")
    assert location[1:2] not in {"/", "\\"}


@given(st.text())
def test_any_other_text_is_no_key(guess: str) -> None:
    expected = 303 if guess == KEY else 401
    assert browser().get("/", params={"key": guess}).status_code == expected


def test_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = keep_key(tmp_path / "key")
    key = read_key(file)
    assert len(key) >= 32
    assert read_key(keep_key(file)) == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_key(keep_key(tmp_path / "other")) != key
    file.write_text("\n", "utf-8")
    with pytest.raises(ValueError, match="has no key"):
        read_key(file)
