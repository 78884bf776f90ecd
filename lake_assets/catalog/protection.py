"""Protected fields of a contract: tokenised or dropped before staging."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lake_assets.catalog.model import Check, Field, Protection
from lake_assets.catalog.partial_contract import Draft
from lake_assets.catalog.problems import TreePath, did_you_mean

_NEEDED = (("landing", "eventTime", "event time"), ("roster", "field", "roster"))


def with_protection(
    draft: Draft, fields: tuple[Field, ...], checks: Sequence[Check], settings: Mapping[str, tuple[TreePath, Any]]
) -> tuple[Field, ...]:
    """Return the fields, each with its protection. Report invalid protections to the draft."""
    if "protection" not in settings:
        return fields
    place, value = settings["protection"]
    known = {field.name: field for field in fields}
    key = {
        item["name"]
        for at in draft.places("schema", 0, "properties")
        if (item := draft.value(*at)) and item.get("primaryKey")
    }
    needed = {settings[name][1][part]: word for name, part, word in _NEEDED if name in settings}
    protected: dict[str, Protection] = {}
    kinds: tuple[Protection, ...] = ("tokenise", "drop")
    for kind in kinds:
        for number, name in enumerate(value.get(kind, ())):
            at = (*place, kind, number)
            if name not in known:
                draft.report(at, f"'{name}' is not a field.{did_you_mean(name, known)}")
            elif name in protected:
                draft.report(at, f"'{name}' is given twice; keep one.")
            elif problem := _problem(known[name], kind, key, needed):
                draft.report(at, f"'{name}' {problem}")
            protected[name] = kind
    for check in checks:
        for name, kind in protected.items():
            # A check for missing or duplicate values also works on tokens.
            compares = rf"\b{name}\b" if kind == "drop" else rf"\b{name} (not )?in \("
            if re.search(compares, check.query):
                draft.report(place, f"the check '{check.name}' cannot see the values of '{name}': remove one.")
    conform: Mapping[str, Any] = settings["conform"][1] if "conform" in settings else {}
    if "tokenise" in protected.values() and (conform.get("engine") == "spark" or "entrypoint" in conform):
        draft.report(place, "only DuckDB makes tokens, because their key stays on this machine; remove Spark, or drop.")
    return tuple(replace(field, protection=protected.get(field.name)) for field in fields)


def _problem(field: Field, kind: Protection, key: Collection[str], needed: Mapping[str, str]) -> str | None:
    if field.name in needed:
        return f"is the {needed[field.name]}, which must stay readable."
    if kind == "tokenise" and field.type.name != "string":
        return f"is {field.type}; a token is a text, so declare a string, or drop it."
    if kind == "drop" and field.name in key:
        return "is part of the key, which must be unique; tokenise it."
    return None
