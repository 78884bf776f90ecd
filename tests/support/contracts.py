"""A valid contract as text, and variants with one change."""

from pathlib import Path, PurePath

import pytest

from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.problems import ContractError

FILE = PurePath("assets/orders.yaml")
CONTRACT = (Path(__file__).parent / "orders.yaml").read_text("utf-8")


def changed(old: str, new: str) -> str:
    """The sound contract with one text replaced, which must be there."""
    assert old in CONTRACT, old
    return CONTRACT.replace(old, new)


def parse(text: str = CONTRACT) -> Asset:
    return parse_contract(text, FILE)


def problems(text: str) -> list[str]:
    """The problems of a contract as a person reads them; fails when it has none."""
    with pytest.raises(ContractError) as caught:
        parse_contract(text, FILE)
    return [str(problem) for problem in caught.value.problems]
