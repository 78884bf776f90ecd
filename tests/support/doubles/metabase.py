"""A double of Metabase's REST API, by HTTP on 127.0.0.1. It refuses each request that the OpenAPI facts do not allow.

It keeps what the lake relies on: identities of questions that are there once, collections that all people may change at
first, archived things that are in the trash, graphs of permissions with a revision, and rights by table.
"""

import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.support.metabase_facts import problems, read_facts

KEY = "mb_key"
DATABASE = 7
ALL_USERS, ADMINISTRATORS = 1, 2
TRASH = 99
Row = dict[str, Any]


class Refused(Exception):
    """An answer that is no success, with its code and text."""


class MetabaseDouble(ThreadingHTTPServer):
    """`requests` are those that arrived, as method and path; `writes` are those that change something."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.tag = "v0.64.1"
        self.is_admin = True
        self.requests: list[str] = []
        self.bodies: list[tuple[str, Row]] = []
        # Sent instead of an answer to the next request of this method and path.
        self.answer_instead: dict[str, tuple[int, str]] = {}
        self.facts = read_facts()
        self._ids = count(101)
        self.databases: list[Row] = [
            {"id": 1, "name": "Sample Database", "engine": "h2", "details": {"db": "sample"}},
            database(DATABASE),
        ]
        self.tables: dict[int, tuple[str, str]] = {
            31: ("shop_data_mart", "orders"),
            32: ("metrics", "sales_by_region"),
            33: ("public", "other"),
        }
        self.cards: dict[int, Row] = {}
        self.collections: dict[int, Row] = {}
        self.dashboards: dict[int, Row] = {}
        self.groups: list[Row] = [
            {"id": ALL_USERS, "name": "All Users", "magic_group_type": "all-internal-users"},
            {"id": ADMINISTRATORS, "name": "Administrators", "magic_group_type": "admin"},
        ]
        self.revision = 3
        self.collection_rights: dict[str, dict[str, str]] = {str(ALL_USERS): {"root": "write"}}
        # Rights to ask questions: by group, for the whole database, or by table.
        self.data_rights: dict[str, str | dict[int, str]] = {str(ALL_USERS): "query-builder-and-native"}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def writes(self) -> list[str]:
        return [request for request in self.requests if not request.startswith("GET ")]

    def next_id(self) -> int:
        return next(self._ids)

    def answer(self, method: str, path: str, query: Row, body: Row | None, key: str | None) -> Any:
        """Return the answer. Raises Refused."""
        self.requests.append(f"{method} {path}")
        if body is not None:
            self.bodies.append((f"{method} {path}", body))
        name, parameters = self._endpoint(method, path)
        if key != KEY and name != "GET /api/session/properties":
            raise Refused(401, "Unauthenticated")
        if f"{method} {path}" in self.answer_instead:
            raise Refused(*self.answer_instead.pop(f"{method} {path}"))
        facts = self.facts[name]
        wrong = problems(facts.get("path"), parameters) + problems(facts.get("query"), _typed(query))
        wrong += problems(facts.get("body"), body)
        if wrong:
            raise Refused(400, json.dumps({"errors": wrong}))
        handler: Callable[..., Any] = getattr(self, _HANDLERS[name])
        return handler(*parameters.values(), **({"query": query} if query else {}), **({"body": body} if body else {}))

    def _endpoint(self, method: str, path: str) -> tuple[str, Row]:
        # A literal path comes before one with a parameter.
        for name in sorted(self.facts, key=lambda name: name.count("{")):
            verb, template = name.split(" ")
            pattern = re.sub(r"\\\{([^}]+)\\\}", r"([^/]+)", re.escape(template.rstrip("/")))
            if verb == method and (match := re.fullmatch(pattern, path.rstrip("/"))):
                values = [int(value) if value.isdecimal() else unquote(value) for value in match.groups()]
                return name, dict(zip(re.findall(r"{([^}]+)}", template), values, strict=True))
        raise Refused(404, "API endpoint does not exist.")

    def properties(self) -> Row:
        return {"version": {"tag": self.tag}, "site-name": "Shop"}

    def user(self) -> Row:
        return {"id": 5, "is_superuser": self.is_admin}

    def list_databases(self) -> Row:
        return {"data": self.databases, "total": len(self.databases)}

    def schemas(self, database: int) -> list[str]:
        assert database == DATABASE
        return sorted({schema for schema, _ in self.tables.values()})

    def list_cards(self, query: Row) -> list[Row]:
        assert query["f"] == "database"
        of_database = [card for card in self.cards.values() if str(card["database_id"]) == query["model_id"]]
        return [card for card in of_database if not card["archived"]]

    def card(self, key: int | str) -> Row:
        found = [card for card in self.cards.values() if key in (card["id"], card["entity_id"])]
        if not found:
            raise Refused(404, "Not found.")
        return found[0] | ({"collection_id": TRASH} if found[0]["archived"] else {})

    def create_card(self, body: Row) -> Row:
        if any(card["entity_id"] == body.get("entity_id") for card in self.cards.values()):
            raise Refused(500, "duplicate key value violates unique constraint")
        number = self.next_id()
        card = {"id": number, "archived": False, "entity_id": f"{number:021}", "type": "question", **body}
        self.cards[number] = card | {"database_id": _stored(card)}
        return self.cards[number]

    def change_card(self, number: int, body: Row) -> Row:
        self.cards[number] |= body
        _stored(self.cards[number])
        return self.cards[number]

    def list_collections(self) -> list[Row]:
        root: Row = {"id": "root", "name": "Our analytics"}
        return [root, *(each for each in self.collections.values() if not each["archived"])]

    def create_collection(self, body: Row) -> Row:
        number = self.next_id()
        self.collections[number] = {"id": number, "archived": False, **body}
        for rights in self.collection_rights.values():
            # A new collection has the rights of the one that it is in.
            if "root" in rights:
                rights[str(number)] = rights["root"]
        return self.collections[number]

    def change_collection(self, number: int, body: Row) -> Row:
        self.collections[number] |= body
        return self.collections[number]

    def items(self, collection: int, query: Row | None = None) -> Row:
        wanted = (query or {}).get("models", "dashboard,card").split(",")
        kinds = {"dashboard": self.dashboards, "card": self.cards}
        found = [
            {"model": kind, **{key: each[key] for key in ("id", "name", "description")}}
            for kind, rows in kinds.items()
            for each in rows.values()
            if kind in wanted and each["collection_id"] == collection and not each["archived"]
        ]
        return {"data": found, "total": len(found)}

    def collection_graph(self) -> Row:
        return {"revision": self.revision, "groups": self.collection_rights}

    def change_collection_graph(self, body: Row) -> Row:
        self._check_revision(body)
        for group, rights in body["groups"].items():
            mine = self.collection_rights.setdefault(group, {})
            mine |= rights
            self.collection_rights[group] = {name: right for name, right in mine.items() if right != "none"}
        return self.collection_graph()

    def create_dashboard(self, body: Row) -> Row:
        number = self.next_id()
        new: Row = {"description": None, "dashcards": [], "tabs": [], "archived": False}
        self.dashboards[number] = {"id": number, **new, **body}
        return self.dashboards[number]

    def dashboard(self, number: int) -> Row:
        found = self.dashboards[number]
        # The whole question comes with each card, which the API does not take back.
        cards = [{**card, "card": self.cards.get(card["card_id"]), "entity_id": "x"} for card in found["dashcards"]]
        tabs = [{**tab, "dashboard_id": number, "entity_id": "x"} for tab in found["tabs"]]
        return found | {"dashcards": cards, "tabs": tabs}

    def change_dashboard(self, number: int, body: Row) -> Row:
        found = self.dashboards[number]
        if "dashcards" in body:
            tabs = body.get("tabs") or []
            if tabs and any(card.get("dashboard_tab_id") is None for card in body["dashcards"]):
                raise Refused(400, "This dashboard has tab, makes sure every card has a tab")
            for card in body["dashcards"]:
                if card.get("card_id") and self.cards[card["card_id"]]["archived"]:
                    raise Refused(404, "The object has been archived.")
            body = {**body, "dashcards": [self._dashcard(found, card) for card in body["dashcards"]], "tabs": tabs}
        self.dashboards[number] = found | body
        return self.dashboard(number)

    def _dashcard(self, dashboard: Row, card: Row) -> Row:
        new: Row = {"card_id": None, "parameter_mappings": [], "visualization_settings": {}, "dashboard_tab_id": None}
        known = {each["id"]: each for each in dashboard["dashcards"]}
        if card["id"] < 0:
            return {**new, **card, "id": self.next_id()}
        return known[card["id"]] | card

    def list_groups(self) -> list[Row]:
        return self.groups

    def create_group(self, body: Row) -> Row:
        self.groups.append({"id": self.next_id(), "magic_group_type": None, **body})
        self.data_rights[str(self.groups[-1]["id"])] = "no"
        return self.groups[-1]

    def data_graph(self, database: int) -> Row:
        assert database == DATABASE
        return {
            "revision": self.revision,
            "groups": {group: {str(DATABASE): self._shown(rights)} for group, rights in self.data_rights.items()},
        }

    def _shown(self, rights: str | dict[int, str]) -> Row:
        """Return rights as the API shows them: by schema if its tables agree, and the lowest one left out."""
        shown: Row = {"view-data": "unrestricted"}
        if isinstance(rights, dict):
            by_schema: dict[str, dict[str, str]] = {}
            for table, right in rights.items():
                by_schema.setdefault(self.tables[table][0], {})[str(table)] = right
            shown["create-queries"] = {
                schema: next(iter(tables.values())) if len(set(tables.values())) == 1 else tables
                for schema, tables in by_schema.items()
            }
        elif rights != "no":
            shown["create-queries"] = rights
        return shown

    def change_data_graph(self, body: Row) -> Row:
        self._check_revision(body)
        for group, databases in body["groups"].items():
            [(database, rights)] = databases.items()
            assert (database, list(rights)) == (str(DATABASE), ["create-queries"])
            before = self.data_rights[group]
            tables = dict(before) if isinstance(before, dict) else dict.fromkeys(self.tables, before)
            for table, (schema, _) in self.tables.items():
                tables[table] = rights["create-queries"].get(schema, tables.get(table, "no"))
            self.data_rights[group] = tables
        return self.data_graph(DATABASE)

    def _check_revision(self, body: Row) -> None:
        if body.get("revision") != self.revision:
            raise Refused(409, "Looks like someone else edited the permissions and your data is out of date.")
        self.revision += 1


def database(number: int, **changes: object) -> Row:
    """Return a connection of Metabase to the lake's Postgres."""
    details = {"host": "postgres", "port": 5432, "dbname": "lake", "user": "analyst", "password": "**MetabasePass**"}
    return {"id": number, "name": "Lake", "engine": "postgres", "details": details | changes}


def _stored(card: Row) -> int:
    """Add to a query what Metabase adds to those it stores, and return the id of its database."""
    query = card["dataset_query"]
    assert query["lib/type"] == "mbql/query"
    card["dataset_query"] = {**query, "lib.convert/converted?": True}
    return cast("int", query["database"])


def _typed(query: Row) -> Row:
    """Return parameters of a query as the API decodes them."""
    typed = {name: int(value) if value.isdecimal() else value for name, value in query.items()}
    return typed | ({"models": query["models"].split(",")} if "models" in query else {})


_HANDLERS = {
    "GET /api/session/properties": "properties",
    "GET /api/user/current": "user",
    "GET /api/database/": "list_databases",
    "GET /api/database/{id}/schemas": "schemas",
    "GET /api/card/": "list_cards",
    "GET /api/card/{id}": "card",
    "POST /api/card/": "create_card",
    "PUT /api/card/{id}": "change_card",
    "GET /api/collection/": "list_collections",
    "POST /api/collection/": "create_collection",
    "PUT /api/collection/{id}": "change_collection",
    "GET /api/collection/{id}/items": "items",
    "GET /api/collection/graph": "collection_graph",
    "PUT /api/collection/graph": "change_collection_graph",
    "POST /api/dashboard/": "create_dashboard",
    "GET /api/dashboard/{id}": "dashboard",
    "PUT /api/dashboard/{id}": "change_dashboard",
    "GET /api/permissions/group": "list_groups",
    "POST /api/permissions/group": "create_group",
    "GET /api/permissions/graph/db/{db-id}": "data_graph",
    "PUT /api/permissions/graph": "change_data_graph",
}


class _Request(BaseHTTPRequestHandler):
    server: MetabaseDouble

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def _answer(self, method: str) -> None:
        address = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(content) if content else None
        try:
            answer = self.server.answer(
                method, address.path, dict(parse_qsl(address.query)), body, self.headers.get("X-API-Key")
            )
            self._send(200, json.dumps(answer))
        except Refused as refused:
            self._send(*refused.args)

    def _send(self, code: int, text: str) -> None:
        self.send_response(code)
        if 300 <= code < 400:
            self.send_header("Location", text)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def metabase_double() -> Generator[MetabaseDouble]:
    with MetabaseDouble() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
