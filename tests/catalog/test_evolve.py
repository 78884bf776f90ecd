"""The contract that declares what payloads hold: an additive change, line by line, with all else left as it was."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.catalog.compare import compare
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.propose_fields import evolved, new_fields
from lake_assets.errors import LakeError
from tests.support.contracts import CONTRACT, FILE, parse

ASSET = parse()


def extras(**fields: list[object]) -> list[str]:
    """Texts of `_extra`: one for each place in the lists."""
    longest = max(len(values) for values in fields.values())
    return [
        json.dumps({name: values[at] for name, values in fields.items() if at < len(values)}) for at in range(longest)
    ]


def test_fields_are_typed_by_their_values_and_never_required() -> None:
    given_ = extras(Coupon=["A1", "B2"], weight=[1.5, 2.25], sent=["2026-01-31T12:00:00Z"] * 2, amount=[1], gift=[True])
    found = {one.source: (one.name, one.type.logical, one.required) for one in new_fields(ASSET, given_)}
    assert found["Coupon"] == ("coupon", "string", False)
    assert found["weight"][1] == "number"
    assert found["sent"][1] == "timestamp"
    assert found["gift"][1] == "boolean"
    assert "amount" not in found


def test_a_key_that_differs_by_case_is_a_field_and_extra_cells_are_not() -> None:
    [found] = new_fields(ASSET, ['{"AMOUNT": 1, "_extra_cells": ["x"]}'])
    assert (found.name, found.source) == ("amount_2", "AMOUNT")


def test_the_text_gains_a_line_for_each_field_and_the_next_minor_version() -> None:
    fields = new_fields(ASSET, extras(Coupon=["A1", "B2"]))
    text = evolved(CONTRACT, ASSET, fields)
    before, after = CONTRACT.splitlines(), text.splitlines()
    assert [line for line in after if line not in before] == [
        "version: 1.1.0",
        "      - {name: coupon, logicalType: string, physicalName: Coupon}",
    ]
    assert [line for line in before if line not in after] == ["version: 1.0.0"]
    change = compare(ASSET, parse(text))
    assert (change.kind, change.allowed) == ("additive", True)


@pytest.mark.parametrize("ending", ["", "\n", "\n# the end\n"])
def test_a_file_that_ends_with_its_fields_is_changed_too(ending: str) -> None:
    short = CONTRACT.partition("    quality:\n")[0].rstrip("\n") + ending
    asset = parse(short)
    text = evolved(short, asset, new_fields(asset, ['{"coupon": "x"}']))
    assert parse(text).fields[-1].name == "coupon"


def test_a_last_field_of_several_lines_is_not_cut_in_two() -> None:
    text = CONTRACT.replace("\n    quality:", "\n      - name: final\n        logicalType: string\n    quality:")
    asset = parse(text)
    assert [f.name for f in parse(evolved(text, asset, new_fields(asset, ['{"coupon": 1}']))).fields][-2:] == [
        "final",
        "coupon",
    ]


def test_a_last_field_with_a_gap_in_it_is_left_to_a_person() -> None:
    text = CONTRACT.replace("\n    quality:", "\n      - name: final\n\n        logicalType: string\n    quality:")
    asset = parse(text)
    with pytest.raises(LakeError, match="change it by hand"):
        evolved(text, asset, new_fields(asset, ['{"coupon": 1}']))


def test_a_layout_without_lines_is_an_error_with_the_lines_to_add() -> None:
    flow = "schema: [{name: orders, properties: [{name: came, logicalType: timestamp, required: true}]}]\n"
    head = CONTRACT.partition("schema:")[0].replace("eventTime: ordered_at", "eventTime: came")
    asset = parse(head + flow)
    with pytest.raises(LakeError, match=r"(?s)raise its version to 1.1.0, and add.*name: coupon"):
        evolved(head + flow, asset, new_fields(asset, ['{"coupon": "x"}']))


KEYS = st.text(min_size=1, max_size=30)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=20))


@settings(deadline=None)
@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=4), min_size=1, max_size=6))
def test_a_proposal_for_any_payloads_is_a_sound_and_additive_contract(
    payloads: list[dict[str, object]],
) -> None:
    fields = new_fields(ASSET, [json.dumps(payload) for payload in payloads])
    if fields:
        after = parse_contract(evolved(CONTRACT, ASSET, fields), FILE)
        assert compare(ASSET, after).kind == "additive"
        assert len(after.fields) == len(ASSET.fields) + len(fields)
