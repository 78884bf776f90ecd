"""Choice of windows for a replay: those with rows that broke the named rule, in the way of the condition."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.errors import LakeError
from lake_assets.operations.replay import Broken, matching, summary
from tests.support.conform_records import ORDERS

Error = tuple[str, str | None, str | None]
_TEXTS = {"code": pa.string(), "field": pa.string(), "value": pa.string(), "message": pa.string()}


def quarantine(*rows: tuple[int, bytes | None, Sequence[Error]]) -> pa.Table:
    """Rows of the quarantine table, by day of January, payload and errors."""
    errors = [[dict(zip(_TEXTS, (*error, "says so"), strict=True)) for error in row[2]] for row in rows]
    return pa.table(
        {
            "_window": pa.array([datetime(2026, 1, row[0], tzinfo=UTC) for row in rows], pa.timestamp("us", tz="UTC")),
            "topic": pa.array(["shop.orders"] * len(rows)),
            "partition": pa.array([0] * len(rows), pa.int32()),
            "offset": pa.array(range(len(rows)), pa.int64()),
            "payload": pa.array([row[1] for row in rows], pa.binary()),
            "errors": pa.array(errors, pa.list_(pa.struct(list(_TEXTS.items())))),
        }
    )


ROWS = quarantine(
    (1, b'{"amount": "1,5"}', [("type", "amount", "1,5")]),
    (2, b'{"amount": "x"}', [("type", "amount", "x"), ("enum", "region", "mars")]),
    (3, b"\xff", [("invalid_utf8", None, None)]),
    (3, None, [("null_payload", None, None)]),
)


@pytest.mark.parametrize(
    ("code", "where", "windows"),
    [
        ("type", None, {"2026-01-01", "2026-01-02"}),
        ("enum", None, {"2026-01-02"}),
        (None, "field = 'amount' and value like '%,%'", {"2026-01-01"}),
        ("type", "value = 'mars'", set()),
        (None, "payload is null", {"2026-01-03"}),
        (None, "json_extract_string(payload, 'amount') = 'x'", {"2026-01-02"}),
        (None, "_window >= '2026-01-02' and \"offset\" < 3 -- a comment", {"2026-01-02", "2026-01-03"}),
        (None, "code = 'type' or true", {"2026-01-01", "2026-01-02", "2026-01-03"}),
        ("range", None, set()),
    ],
)
def test_a_window_is_chosen_when_one_of_its_rows_broke_that_rule_that_way(
    code: str | None, where: str | None, windows: set[str]
) -> None:
    assert matching(ORDERS, ROWS, code, where) == windows


@pytest.mark.parametrize(
    "where",
    [
        "",
        "fild = 'amount'",
        "'not a truth'",
        "true); drop table broken; select (true",
        "true; copy broken to '/tmp/stolen.csv'",
        "exists (select * from read_csv('/etc/passwd'))",
        "exists (select * from '/etc/passwd')",
        "exists (select * from ROWS)",
        "getenv('HOME') is not null",
    ],
)
def test_what_is_no_condition_over_the_rows_is_refused_in_one_line(where: str) -> None:
    with pytest.raises(LakeError, match=r"^--where ") as caught:
        matching(ORDERS, ROWS, None, where)
    assert len(str(caught.value).splitlines()) == 1


@settings(deadline=None, max_examples=20)
@given(st.text(max_size=40))
def test_whatever_condition_is_typed_it_is_an_answer_or_a_refusal(where: str) -> None:
    try:
        assert matching(ORDERS, ROWS, None, where) <= {"2026-01-01", "2026-01-02", "2026-01-03"}
    except LakeError:
        return


def test_rows_are_counted_under_every_rule_that_they_broke_and_once_in_all() -> None:
    rows, broken = summary(ORDERS, ROWS, {"2026-01-01", "2026-01-02"})
    assert rows == 2
    assert broken == (Broken("type", "amount", 2, 2), Broken("enum", "region", 1, 1))


def test_hours_have_the_names_that_dagster_gives_them() -> None:
    assert matching(replace(ORDERS, window="hour"), ROWS, "enum", None) == {"2026-01-02-00:00"}
