"""Bodies of requests for questions and dashboards, and the part of them that differs from what Metabase has. Pure.

Only fields that Metabase's API names are sent: newer versions refuse a request with any other.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from lake_assets.compile.metabase import Place, Question

Body = dict[str, Any]
Answer = Mapping[str, Any]
# Fields of a dashboard's card that its API takes; others of its answer, such as the whole question, are left out.
_CARD_FIELDS = (
    "id",
    "card_id",
    "action_id",
    "col",
    "row",
    "size_x",
    "size_y",
    "dashboard_tab_id",
    "parameter_mappings",
    "visualization_settings",
    "inline_parameters",
)


def question_body(question: Question, database: int, collection: int) -> Body:
    """Return the fields of a question, without its identity, in the form in which Metabase keeps and returns them."""
    stage = {"lib/type": "mbql.stage/native", "native": question.sql}
    return {
        "name": question.name,
        "description": question.description,
        "display": question.display,
        "dataset_query": {"lib/type": "mbql/query", "database": database, "stages": [stage]},
        "visualization_settings": question.visualization_settings,
        "collection_id": collection,
    }


def question_changes(card: Answer, body: Body) -> Body:
    """Return the fields of a question that differ. One from the trash is taken out of it into its collection."""
    if card.get("archived"):
        return {**body, "archived": False}
    return {name: value for name, value in body.items() if not _is_same(card.get(name), value)}


def _is_same(there: object, wanted: object) -> bool:
    """Compare what is wanted only: Metabase adds keys of its own to queries and settings."""
    if isinstance(wanted, dict):
        ours, theirs = cast(Body, wanted), cast(Body, there)
        return isinstance(there, dict) and all(_is_same(theirs.get(key), value) for key, value in ours.items())
    if isinstance(wanted, list) and isinstance(there, list):
        pairs = zip(cast("list[object]", there), cast("list[object]", wanted), strict=False)
        return len(cast("list[object]", there)) == len(cast("list[object]", wanted)) and all(
            _is_same(*pair) for pair in pairs
        )
    return there == wanted


def dashboard_changes(
    dashboard: Answer, name: str, description: str, places: Mapping[int, Place], ours: Collection[int]
) -> Body:
    """Return the fields of a dashboard that differ. `places` are those of its questions, by their ids.

    `ours` are the ids of all questions of the lake, those too that are no longer on the board. Cards that people have
    added stay, below the board if they are in its way. So do their tabs, and filters on the lake's own cards.
    """
    tabs = cast("Sequence[Answer]", dashboard.get("tabs") or ())
    there = cast("Sequence[Answer]", dashboard.get("dashcards") or ())
    wanted = [*_own_cards(there, places, tabs), *_others(there, places, ours)]
    changes: Body = {
        field: value for field, value in (("name", name), ("description", description)) if dashboard.get(field) != value
    }
    if sorted(map(_at, there)) != sorted(map(_at, wanted)):
        changes["dashcards"] = wanted
        # Metabase deletes the tabs that are not named with the cards.
        changes["tabs"] = [{"id": tab["id"], "name": tab["name"]} for tab in tabs]
    return changes


def _own_cards(there: Sequence[Answer], places: Mapping[int, Place], tabs: Sequence[Answer]) -> list[Body]:
    known = {card.get("card_id"): card for card in reversed(there)}
    cards: list[Body] = []
    for number, (question, place) in enumerate(places.items(), start=1):
        card = _sendable(known[question]) if question in known else {"id": -number, "card_id": question}
        if tabs and card.get("dashboard_tab_id") is None:
            card["dashboard_tab_id"] = tabs[0]["id"]
        size = {"col": place.col, "row": place.row, "size_x": place.size_x, "size_y": place.size_y}
        cards.append(card | size)
    return cards


def _others(there: Sequence[Answer], places: Mapping[int, Place], ours: Collection[int]) -> list[Body]:
    """Return what people added, without cards of the lake's questions that are left out or there twice."""
    others = [_sendable(card) for card in there if card.get("card_id") not in ours]
    end = max((place.row + place.size_y for place in places.values()), default=0)
    first = min((card["row"] for card in others), default=end)
    return [card | {"row": card["row"] + max(0, end - first)} for card in others]


def _sendable(card: Answer) -> Body:
    series = cast("Sequence[Answer]", card.get("series") or ())
    kept = {name: card[name] for name in _CARD_FIELDS if card.get(name) is not None}
    return {**kept, "series": [{"id": each["id"]} for each in series]}


def _at(card: Answer) -> tuple[int, int, int, int, int, int]:
    # A card without a question, such as a text, has none. A new card differs from all that are there.
    question = card.get("card_id") or 0
    return card["id"], question, card["col"], card["row"], card["size_x"], card["size_y"]
