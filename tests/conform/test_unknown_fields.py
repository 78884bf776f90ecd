"""Keys of payloads beyond their contract are counted while the payloads are judged."""

import json
from dataclasses import replace

from lake_assets.catalog.window_results import UnknownField
from tests.conform.conftest import Conform, on_both_engines
from tests.support.conform_records import ORDERS, Record


def order(order_id: str, **fields: object) -> bytes:
    return json.dumps({"order_id": order_id, "ordered_at": "2026-01-01T12:00:00Z", **fields}).encode()


def test_each_key_is_reported_with_the_types_of_its_values_and_its_rows(conform_records: Conform) -> None:
    result = conform_records(
        [order("a", note="x", n=1), order("b", note=2.5, n=2), order("c", note=None), order("d"), order("e", deep={})]
    )
    assert result.outputs[0].unknown == (
        UnknownField("deep", "object", 1),
        UnknownField("n", "integer", 2),
        UnknownField("note", "null", 1),
        UnknownField("note", "number", 1),
        UnknownField("note", "string", 1),
    )


def test_rows_that_are_refused_for_it_count_and_repeated_deliveries_do_not(conform_records: Conform) -> None:
    strict = replace(ORDERS, unknown_fields="reject")
    result = conform_records([Record(order("a", note="x"), offset=1), Record(order("a", note="x"), offset=1)], strict)
    assert len(result.quarantined) == 1
    assert result.outputs[0].unknown == (UnknownField("note", "string", 1),)


def test_documents_of_very_many_keys_are_kept_and_cost_no_memory(conform_records: Conform) -> None:
    """Regression guard: of these, whole documents were held once for each key."""
    wide = {f"f{number:06}": 1 for number in range(250_000)}
    deep = {**{f"f{number}": 1 for number in range(900)}, "big": "x" * 7_000_000}
    result = conform_records([order("wide", **wide), order("deep", **deep), order("usual", new=1)])
    assert [field.name for field in result.outputs[0].unknown] == ["new"]
    assert [len(json.loads(row["_extra"] or "{}")) for row in result.good] == [250_000, 901, 1]


@on_both_engines
def test_a_producer_that_makes_up_keys_does_not_fill_the_ledger(conform_records: Conform) -> None:
    many = [order(f"o{n}", **{f"k{n}": 1, "often": 1, "x" * 201: 1}) for n in range(150)]
    (output,) = conform_records(many).outputs
    assert len(output.unknown) == 100
    assert UnknownField("often", "integer", 150) in output.unknown
    assert all(len(field.name) <= 200 for field in output.unknown)
