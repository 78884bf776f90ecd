"""Duplicates across partitions and in quarantine."""

import json
from dataclasses import replace

from lake_assets.catalog.model import Field, FieldType
from tests.conform.conftest import Conform, on_both_engines
from tests.support.conform_records import NOON, ORDERS, Record


def order(order_id: str, **fields: object) -> bytes:
    return json.dumps({"order_id": order_id, "ordered_at": NOON.isoformat(), **fields}).encode()


def test_of_equal_event_times_the_higher_partition_wins(conform_records: Conform) -> None:
    """The higher offset is in the lower partition: offsets of two partitions cannot be compared."""
    result = conform_records([Record(order("a", quantity=1), 0, 9), Record(order("a", quantity=2), 1, 3)])
    assert [(row["quantity"], row["_kafka_partition"]) for row in result.good] == [(2, 1)]
    assert result.outputs[0].duplicates == 1


def test_a_bad_record_delivered_twice_is_quarantined_once(conform_records: Conform) -> None:
    result = conform_records([Record(b"{bad", 0, 7), Record(b"{bad", 0, 7), Record(b"{bad", 0, 8)])
    assert [row["offset"] for row in result.quarantined] == [7, 8]
    (count,) = result.outputs[0].partitions
    assert (count.raw, count.quarantined, count.duplicates, count.redelivered) == (3, 2, 1, 1)
    assert result.outputs[0].imbalance() is None


def test_a_json_number_of_more_digits_than_it_keeps_is_inexact(conform_records: Conform) -> None:
    """The number fits a wide decimal, so only the count of its digits shows that some may be wrong."""
    wide = Field("total", FieldType("decimal", 20, 2))
    asset = replace(ORDERS, fields=(*ORDERS.fields, wide))
    number = b'{"order_id": "a", "ordered_at": "2026-01-01T12:00:00Z", "total": %s}'
    refused = conform_records([number % b"12345678901234.56"], asset)
    assert [[(e["code"], e["field"]) for e in row["errors"]] for row in refused.quarantined] == [[("inexact", "total")]]
    kept = conform_records(
        [number % b"1234567890123.45", number.replace(b'"a"', b'"b"') % b'"12345678901234.56"'], asset
    )
    assert [str(row["total"]) for row in kept.good] == ["1234567890123.45", "12345678901234.56"]


@on_both_engines
def test_a_duplicate_that_differs_from_its_keys_row_is_a_conflict(conform_records: Conform) -> None:
    """The second row of `a` is equal to the one that stays, that of `b` is not; `c` differs in an unknown field."""
    changed = [order("b", quantity=1), order("b"), order("b", quantity=3)]
    unknown = [order("c", note="x"), order("c", note="y")]
    rows = [order("a", quantity=1), order("a", quantity=1), *changed, *unknown]
    result = conform_records([Record(row, 0, at) for at, row in enumerate([*rows, rows[-1]])])
    (output,) = result.outputs
    assert (len(result.good), output.duplicates, output.conflicts) == (3, 5, 3)


def test_a_record_delivered_twice_is_no_conflict(conform_records: Conform) -> None:
    result = conform_records([Record(order("a", quantity=1), 0, 7), Record(order("a", quantity=1), 0, 7)])
    assert (result.outputs[0].duplicates, result.outputs[0].conflicts) == (1, 0)
