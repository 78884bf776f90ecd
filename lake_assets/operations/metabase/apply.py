"""Boards into Metabase: what is missing is created, what differs is changed, what is left out is archived.

The lake recognizes what it has made: questions by their identity, which it computes; collections and dashboards, for
which Metabase's API takes no identity, by a marker in their description. Nothing else is touched.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from lake_assets.catalog.board import Board
from lake_assets.compile.metabase import ID_PREFIX, Marker, Question, describe_board, questions, read_marker
from lake_assets.operations.apply_steps import Step
from lake_assets.operations.metabase.client import Metabase
from lake_assets.operations.metabase.connection import find_database
from lake_assets.operations.metabase.differences import Answer, dashboard_changes, question_body, question_changes
from lake_assets.operations.metabase.permissions import (
    EVERYBODY,
    READERS,
    collection_changes,
    data_changes,
    is_open,
)
from lake_assets.settings import Postgres


@dataclass(frozen=True, slots=True)
class Applied:
    """Steps that were taken, and notes about what only an administrator of Metabase can change."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...]


def apply_boards(metabase: Metabase, boards: Iterable[Board], postgres: Postgres, schemas: Collection[str]) -> Applied:
    """Make Metabase's collections, questions, dashboards and permissions match the boards. Raises LakeError.

    `schemas` are those of marts and metrics, about which readers may ask questions of their own.
    """
    work = _Work(metabase, find_database(metabase, postgres))
    work.apply(boards)
    work.grant(schemas)
    return Applied(tuple(work.steps), tuple(work.notes))


class _Work:
    """One run. `cards` are the lake's questions on the database, by identity; `collections` those of boards."""

    def __init__(self, metabase: Metabase, database: int) -> None:
        self.metabase = metabase
        self.database = database
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self.cards: dict[str, Answer] = {}
        self.collections: dict[str, Answer] = {}

    def apply(self, boards: Iterable[Board]) -> None:
        self._read()
        kept: set[str] = set()
        names: set[str] = set()
        for board in boards:
            names.add(board.name)
            kept |= self._apply_board(board)
        for entity_id, card in self.cards.items():
            if entity_id not in kept:
                self.metabase.put(f"/api/card/{card['id']}", {"archived": True})
                self._record("question", card["name"], "archive")
        for name in sorted(set(self.collections) - names):
            self._archive_board(self.collections.pop(name))

    def grant(self, schemas: Collection[str]) -> None:
        """Give the group of readers its rights, and take the right of all people from the boards' collections."""
        groups: list[Answer] = self.metabase.get("/api/permissions/group")
        everybody = next((group["id"] for group in groups if group.get("magic_group_type") == EVERYBODY), None)
        readers = next((group["id"] for group in groups if group["name"] == READERS), None)
        if readers is None:
            readers = self.metabase.post("/api/permissions/group", {"name": READERS})["id"]
            self._record("group", READERS, "create")
            self.notes.append(f"Add the people who may see the boards to Metabase's group {READERS}.")
        own = [collection["id"] for collection in self.collections.values()]
        graph = self.metabase.get("/api/collection/graph")
        if changes := collection_changes(graph, own, readers, everybody):
            self.metabase.put("/api/collection/graph", {"revision": graph["revision"], "groups": changes})
            self._record("permissions", READERS, "change", "collections of boards")
        known: list[str] = self.metabase.get(f"/api/database/{self.database}/schemas")
        graph = self.metabase.get(f"/api/permissions/graph/db/{self.database}")
        if changes := data_changes(graph, self.database, readers, schemas, known):
            self.metabase.put("/api/permissions/graph", {"revision": graph["revision"], "groups": changes})
            self._record("permissions", READERS, "change", "schemas of marts")
        if missing := sorted(set(schemas) - set(known)):
            self.notes.append(
                f"Metabase has not synced {', '.join(missing)} yet: run `lake bi apply` again when it has."
            )
        if everybody is not None and is_open(graph, self.database, everybody):
            self.notes.append(
                "All people of this Metabase may ask questions about the lake's marts: to allow it to "
                f"{READERS} only, set the rights of its group of all users under Admin, Permissions."
            )

    def _read(self) -> None:
        found: list[Answer] = self.metabase.get("/api/card/", f="database", model_id=self.database)
        self.cards = {
            card["entity_id"]: card for card in found if str(card.get("entity_id") or "").startswith(ID_PREFIX)
        }
        for collection in self.metabase.get("/api/collection/"):
            marker = read_marker(collection.get("description"))
            if marker and marker.database == self.database and isinstance(collection["id"], int):
                self.collections.setdefault(marker.board, collection)

    def _apply_board(self, board: Board) -> set[str]:
        """Create or change all of a board, and return the identities of its questions."""
        collection = self._collection(board)
        wanted = questions(board, self.database)
        ids = {question.entity_id: self._question(question, collection) for question in wanted}
        self._dashboard(board, collection, {ids[question.entity_id]: question for question in wanted})
        return set(ids)

    def _collection(self, board: Board) -> int:
        body = {"name": board.label, "description": describe_board(board, Marker(self.database, board.name))}
        there = self.collections.get(board.name)
        if there is None:
            there = self.metabase.post("/api/collection/", body)
            self.collections[board.name] = there
            self._record("collection", board.label, "create")
        elif changes := {name: value for name, value in body.items() if there.get(name) != value}:
            # Without it the API takes the collection out of its archive, or into it.
            self.metabase.put(f"/api/collection/{there['id']}", {**changes, "archived": False})
            self._record("collection", board.label, "change", ", ".join(changes))
        return there["id"]

    def _question(self, question: Question, collection: int) -> int:
        body = question_body(question, self.database, collection)
        there = self.cards.get(question.entity_id) or self.metabase.find(f"/api/card/{question.entity_id}")
        if there is None:
            there = self.metabase.post("/api/card/", {**body, "entity_id": question.entity_id})
            self._record("question", question.name, "create")
        elif changes := question_changes(there, body):
            self.metabase.put(f"/api/card/{there['id']}", changes)
            action = "restore" if there.get("archived") else "change"
            self._record("question", question.name, action, "" if action == "restore" else ", ".join(changes))
        return there["id"]

    def _dashboard(self, board: Board, collection: int, wanted: Mapping[int, Question]) -> None:
        own = self._own_dashboard(collection)
        action = "change"
        if own is None:
            # Its marker needs its id: the next request writes it.
            body = {
                "name": board.label,
                "description": describe_board(board, Marker(self.database, board.name)),
                "collection_id": collection,
            }
            own = self.metabase.post("/api/dashboard/", body)["id"]
            action = "create"
        there = self.metabase.get(f"/api/dashboard/{own}")
        description = describe_board(board, Marker(self.database, board.name, own))
        places = {card: question.place for card, question in wanted.items()}
        ours = {card["id"] for card in self.cards.values()} | set(wanted)
        changes = dashboard_changes(there, board.label, description, places, ours)
        if changes:
            self.metabase.put(f"/api/dashboard/{own}", changes)
            detail = "" if action == "create" else ", ".join(name for name in changes if name != "tabs")
            self._record("dashboard", board.label, action, detail)

    def _own_dashboard(self, collection: int) -> int | None:
        """Return the board's dashboard in its collection. Copies of it, which people made, have its marker too."""
        for item in self._items(collection, models="dashboard"):
            marker = read_marker(item.get("description"))
            if marker and marker.dashboard in (None, item["id"]):
                return item["id"]
        return None

    def _items(self, collection: int, **query: str) -> list[Answer]:
        return self.metabase.get(f"/api/collection/{collection}/items", **query)["data"]

    def _archive_board(self, collection: Answer) -> None:
        own = self._own_dashboard(collection["id"])
        if own is not None:
            self.metabase.put(f"/api/dashboard/{own}", {"archived": True})
            self._record("dashboard", collection["name"], "archive")
        if not self._items(collection["id"]):
            self.metabase.put(f"/api/collection/{collection['id']}", {"archived": True})
            self._record("collection", collection["name"], "archive")
        elif own is not None:
            self._record("collection", collection["name"], "leave", "people have saved something in it")

    def _record(self, kind: str, name: str, action: str, detail: str = "") -> None:
        self.steps.append(Step(kind, name, action, detail))
