"""YAML as contracts are read: its plain part, without its surprises."""

from decimal import Decimal
from pathlib import PurePath

import pytest

from lake_assets.catalog.problems import ContractError
from lake_assets.catalog.source import read_source

FILE = PurePath("x.yaml")


def test_plain_scalars_are_those_of_yaml_1_2() -> None:
    text = "{a: no, b: 2026-01-01, c: 12, d: 0.10, e: true, f: ~, g: '12', h: 010, i: 1e3, j: .inf, k: 12:30:00}"
    assert read_source(text, FILE).tree == {
        "a": "no", "b": "2026-01-01", "c": 12, "d": Decimal("0.10"), "e": True, "f": None, "g": "12", "h": 10,
        "i": Decimal("1e3"), "j": ".inf", "k": "12:30:00",
    }  # fmt: skip


def test_every_place_knows_its_line() -> None:
    source = read_source("a:\n  - x\n  - {b: 1,\n     c: 2}\n", FILE)
    assert source.line(("a", 1, "c")) == 4
    assert source.line(("a", 1, "missing")) == 3
    assert source.line(("nothing",)) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: &x [1]\nb: *x\n", "1: a: an anchor (&) is not allowed"),
        ("a: 1\nb: *x\n", "2: b: an alias (*) is not allowed"),
        ("a: !!python/object:os.system {}\n", "1: a: a tag"),
        ("a: 1\nb: 2\na: 3\n", "3: a: 'a' is given twice (first on line 1)"),
        ("a: 1\n---\nb: 2\n", "a second document begins here"),
        ("? [a, b]\n: 1\n", "a key must be one word"),
        ("a: {b: c, d\n", "not valid YAML"),
        ("a: b: c\n", "1: not valid YAML: mapping values are not allowed in this context. A text that holds ': '"),
        ("a: \x01\n", "a character that cannot be printed"),
        ("", "the contract is empty"),
        ("# only a comment\n", "the contract is empty"),
        ("[" * 30, "nested more than 20 levels"),
        ("a: " + "x" * 1_000_000, "longer than 1000000 characters"),
    ],
)
def test_what_yaml_allows_and_a_contract_does_not_need_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ContractError) as caught:
        read_source(text, FILE)
    assert sentence in str(caught.value)
