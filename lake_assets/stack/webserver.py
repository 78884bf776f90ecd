"""Dagster's web server, which answers its own hosts and pages only.

`python -m lake_assets.stack.webserver` takes the arguments of `dagster-webserver`. Dagster's GraphQL takes mutations
without a login, from any page that a browser of this machine shows: by the query string of a link or an image, and by a
host name that an attacker lets point to this machine (DNS rebinding). On a machine with other users it asks for the key
in the file that LAKE_DAGSTER_KEY_FILE names.
"""

from pathlib import Path
from urllib.parse import urlsplit

from dagster_webserver import cli
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lake_assets.stack.addresses import THIS_MACHINE
from lake_assets.variables import read_variable
from lake_assets.web_key import read_key
from lake_assets.web_login import KeyRequired

# Dagster's versions, which probes ask for.
HEALTH = "/server_info"
OWN_HOSTS = (THIS_MACHINE, "localhost")
REFUSAL = "Dagster answers its own address and its own pages only: name further hosts in LAKE_DAGSTER_HOSTS."


class OwnPagesOnly:
    """Refuse requests for other hosts than `hosts`, and requests that pages of other sites make.

    Links from other sites to pages are answered, requests of other sites for GraphQL are not.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or self._is_own(Headers(scope=scope), str(scope["path"])):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await PlainTextResponse(REFUSAL, status_code=403)(scope, receive, send)

    def _is_own(self, headers: Headers, path: str) -> bool:
        if _host(f"//{headers.get('host', '')}") not in self._hosts:
            return False
        if (origin := headers.get("origin")) is not None and _host(origin) not in self._hosts:
            return False
        # Browsers send it with all requests, also with those that have no Origin.
        is_foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        return not (is_foreign and (path.endswith("/graphql") or headers.get("sec-fetch-mode") != "navigate"))


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def protect(app: Starlette, further_hosts: str, key: str | None = None) -> Starlette:
    """Let the application answer this machine's addresses and `further_hosts`, with spaces between.

    With a `key` it answers those who have it.
    """
    if key is not None:
        app.add_middleware(KeyRequired, key=key, page="dagster", is_open=HEALTH)
    app.add_middleware(OwnPagesOnly, hosts=frozenset((*OWN_HOSTS, *further_hosts.lower().split())))
    return app


def main() -> None:
    create_app = cli.create_app_from_workspace_process_context  # pyright: ignore[reportPrivateImportUsage]

    def create_protected_app(*arguments: object, **options: object) -> Starlette:
        file = read_variable("LAKE_DAGSTER_KEY_FILE")
        key = read_key(Path(file)) if file else None
        return protect(create_app(*arguments, **options), read_variable("LAKE_DAGSTER_HOSTS", ""), key)  # type: ignore[arg-type]

    cli.create_app_from_workspace_process_context = create_protected_app  # pyright: ignore[reportPrivateImportUsage]
    cli.cli(auto_envvar_prefix="DAGSTER_WEBSERVER")


if __name__ == "__main__":
    main()
