"""Login to a web page of this machine: a key in the first address, a cookie from then on.

Ports of 127.0.0.1 are open to all users of a machine, and files are not: who may read the key's file is its owner. The
protocol is that of Jupyter's tokens, https://jupyter-server.readthedocs.io/en/latest/operators/security.html.
"""

from hmac import compare_digest
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from lake_assets.web_key import PARAMETER


class KeyRequired:
    """Answer only requests that have the key: in the address, in the cookie, or as `Authorization: Bearer KEY`.

    A browser is sent on to the same address without the key, so that neither its history nor a copied address has it.
    `is_open` is a path that probes ask without a key.
    """

    def __init__(self, app: ASGIApp, key: str, page: str, is_open: str) -> None:
        self._app = app
        self._key = key.encode()
        self._page = page
        self._open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] == self._open:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        # Cookies are those of all ports of a host.
        cookie = f"lake_key_{connection.url.port or 80}"
        if scope["type"] == "http" and self._is_key(connection.query_params.get(PARAMETER, "")):
            await self._log_in(connection, cookie)(scope, receive, send)
        elif self._is_key(connection.cookies.get(cookie, "")) or self._is_key(_bearer(connection.headers)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            text = f"This page asks for a key: `lake open {self._page}` opens it, and prints its address with the key."
            await PlainTextResponse(text, status_code=401)(scope, receive, send)

    def _is_key(self, given: str) -> bool:
        return compare_digest(given.encode("utf-8", "replace"), self._key)

    def _log_in(self, connection: HTTPConnection, cookie: str) -> Response:
        parameters = parse_qsl(connection.url.query, keep_blank_values=True)
        rest = urlencode([(name, value) for name, value in parameters if name != PARAMETER])
        # An address that begins with two slashes would lead to another host.
        path = "/" + urlsplit(str(connection.url)).path.lstrip("/")
        response = RedirectResponse(f"{path}?{rest}" if rest else path, status_code=303)
        response.set_cookie(cookie, self._key.decode(), httponly=True, samesite="lax")
        response.headers["cache-control"] = "no-store"
        response.headers["referrer-policy"] = "no-referrer"
        return response


def _bearer(headers: Headers) -> str:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""
