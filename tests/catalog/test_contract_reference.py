"""The reference is complete, and its example works."""

import re
from pathlib import PurePath
from typing import Any

from lake_assets.catalog import formats
from lake_assets.catalog.compare import compare
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.schema import contract_schema
from lake_assets.settings import PROJECT

REFERENCE = (PROJECT / "docs" / "contract.md").read_text("utf-8")


def words(schema: dict[str, Any]) -> set[str]:
    """Every key and every choice that the profile knows."""
    found = set(schema.get("properties", ())) | set(schema.get("enum", ()))
    parts = [*schema.get("properties", {}).values(), *schema.get("allOf", ())]
    parts += [schema[key] for key in ("items", "then", "else") if key in schema]
    return found.union(*map(words, parts))


def test_the_example_is_a_sound_contract() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)
    assert parse_contract(example, PurePath("deliveries.yaml")).name == "deliveries"


def test_every_key_and_choice_is_listed() -> None:
    prose = re.sub(r"```.*?```", "", REFERENCE, flags=re.DOTALL)
    documented = set(re.findall(r"v3[.\d]+|\w+", " ".join(re.findall(r"`([^`]+)`", prose))))
    assert words(contract_schema()) - documented == set()


def test_every_letter_of_a_format_is_listed() -> None:
    letters = formats.LETTERS
    assert [letter for letter in letters if f"`{letter}`" not in REFERENCE] == []


def test_the_kinds_of_changes_are_those_of_compare() -> None:
    table = [line.strip() for line in (compare.__doc__ or "").splitlines() if line.strip().startswith("|")]
    assert len(table) > 10
    assert "\n".join(table) in REFERENCE
