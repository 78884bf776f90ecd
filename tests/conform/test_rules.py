"""Row rules: each value is taken exactly as the contract declares, or quarantined with a reason."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.conform.conftest import Conform
from tests.support.conform_records import ORDERS

BASE = {"order_id": "o1", "ordered_at": "2026-01-01T12:00:00Z"}
KEPT = [
    ("quantity", 3, 3),
    ("quantity", "3", 3),
    ("quantity", 3.0, 3),
    ("amount", "12.30", Decimal("12.30")),
    ("amount", 12.3, Decimal("12.30")),
    ("amount", "-0.01", Decimal("-0.01")),
    ("amount", "1.500", Decimal("1.50")),
    ("amount", "-.5", Decimal("-0.50")),
    ("amount", "9999999999.99", Decimal("9999999999.99")),
    ("amount", None, None),
    ("weight", 1e-7, 1e-7),
    ("gift", True, True),
    ("gift", "FALSE", False),
    ("code", "AB12", "AB12"),
    ("due", "2026-02-28", date(2026, 2, 28)),
    ("seen", "31.12.2025 23:59", datetime(2025, 12, 31, 23, 59, tzinfo=UTC)),
    ("sent", 1767268800123, datetime(2026, 1, 1, 12, 0, 0, 123000, tzinfo=UTC)),
    ("detail", {"a": [1, None]}, '{"a":[1,null]}'),
    ("detail", "text", '"text"'),
    ("ordered_at", "2026-01-01T14:00:00+02:00", datetime(2026, 1, 1, 12, tzinfo=UTC)),
    ("ordered_at", "2026-01-01 12:00:00.123456", datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)),
]
BROKEN = [
    ("order_id", None, "missing"),
    ("order_id", "123456789", "length"),
    ("region", "mars", "enum"),
    ("quantity", 5.7, "type"),
    ("quantity", "0x10", "type"),
    ("quantity", "1_000", "type"),
    ("quantity", "", "type"),
    ("quantity", 0, "range"),
    ("quantity", 11, "range"),
    ("quantity", 10**30, "type"),
    ("amount", "12.345", "type"),
    ("amount", "1e3", "type"),
    ("amount", "12,50", "type"),
    ("amount", "10000000000.00", "type"),
    ("amount", "NaN", "type"),
    ("amount", 123456789012345.67, "inexact"),
    ("weight", "inf", "type"),
    ("weight", "heavy", "type"),
    ("gift", "yes", "type"),
    ("code", "ab12", "pattern"),
    ("code", "A1", "length"),
    ("due", "2026-02-30", "type"),
    ("due", "2026-01-01T10:00:00", "type"),
    ("seen", "12/31/2025 23:59", "type"),
    ("sent", "yesterday", "type"),
    ("ordered_at", "2026-01-01", "type"),
    ("ordered_at", "epoch", "type"),
    ("ordered_at", "infinity", "type"),
    ("ordered_at", "2026-12-31T23:59:60Z", "type"),
]
NO_OBJECTS = [
    (None, "null_payload"),
    (b"", "empty_payload"),
    (b'{"order_id": "\xff"}', "invalid_utf8"),
    (b"{bad", "not_json"),
    (b'{"order_id": "\\ud800"}', "not_json"),
    (b"[1, 2]", "not_an_object"),
    (b"null", "not_an_object"),
    (b'"text"', "not_an_object"),
    (b"[" * 100_000, "not_json"),
]


def payload(**fields: Any) -> bytes:
    return json.dumps({**BASE, **fields}).encode()


@pytest.mark.parametrize(("field", "given", "stored"), KEPT)
def test_a_value_of_the_declared_type_is_kept_exactly(
    conform_records: Conform, field: str, given: object, stored: object
) -> None:
    result = conform_records([payload(**{field: given})])
    assert [row[field] for row in result.good] == [stored]
    assert not result.quarantined


@pytest.mark.parametrize(("field", "given", "code"), BROKEN)
def test_a_value_that_breaks_a_rule_is_quarantined_with_its_code_and_field(
    conform_records: Conform, field: str, given: object, code: str
) -> None:
    body = payload(**{field: given})
    result = conform_records([body])
    assert not result.good
    assert [(row["payload"], [(e["code"], e["field"]) for e in row["errors"]][-1]) for row in result.quarantined] == [
        (body, (code, field))
    ]


@pytest.mark.parametrize(("body", "code"), NO_OBJECTS)
def test_a_payload_that_is_no_object_is_quarantined_as_it_came(
    conform_records: Conform, body: bytes | None, code: str
) -> None:
    result = conform_records([body])
    assert not result.good
    assert [(row["payload"], [e["code"] for e in row["errors"]]) for row in result.quarantined] == [(body, [code])]


def test_an_empty_payload_without_required_fields_does_not_fail_the_window(
    conform_records: Conform,
) -> None:
    """DuckDB asked for the type of its JSON before the condition that guards it, and gave up."""
    lenient = replace(ORDERS, fields=tuple(replace(field, required=False) for field in ORDERS.fields), key=())
    result = conform_records([b""], lenient)
    assert [[e["code"] for e in row["errors"]] for row in result.quarantined] == [["empty_payload"]]


def test_each_broken_rule_of_a_row_is_listed_with_its_value_and_a_sentence(conform_records: Conform) -> None:
    result = conform_records([payload(region="mars", quantity="many")])
    assert result.quarantined[0]["errors"] == [
        {"code": "enum", "field": "region", "value": "mars", "message": "is not an allowed value"},
        {"code": "type", "field": "quantity", "value": "many", "message": "is not a valid integer"},
    ]


def test_fields_that_the_contract_does_not_declare_are_kept_in_extra(conform_records: Conform) -> None:
    result = conform_records([payload(note={"deep": None}, other=1), payload(order_id="o2")])
    assert [row["_extra"] and json.loads(row["_extra"]) for row in result.good] == [
        {"note": {"deep": None}, "other": 1},
        None,
    ]


def test_an_unknown_field_next_to_a_missing_one_is_still_seen(conform_records: Conform) -> None:
    body = json.dumps({**BASE, "surprise": 1}).encode()
    assert json.loads(conform_records([body]).good[0]["_extra"]) == {"surprise": 1}


def test_unknown_fields_are_quarantined_when_the_contract_rejects_them(conform_records: Conform) -> None:
    result = conform_records([payload(surprise=1), payload(order_id="o2")], replace(ORDERS, unknown_fields="reject"))
    assert [row["order_id"] for row in result.good] == ["o2"]
    assert [(e["code"], e["field"]) for e in result.quarantined[0]["errors"]] == [("unknown_field", "surprise")]
