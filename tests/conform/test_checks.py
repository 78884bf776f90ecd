"""A contract's checks at their bounds, and unknown fields of a window that was made in parts."""

from dataclasses import replace
from decimal import Decimal

import duckdb
import pytest

from lake_assets.catalog.model import Check, Operator
from lake_assets.catalog.window_results import PartitionCount, UnknownField
from lake_assets.compile.conform import MOST_UNKNOWN
from lake_assets.conform.write_windows import WindowPart, judge_checks, merge_parts
from tests.support.conform_records import ORDERS


@pytest.mark.parametrize(
    ("operator", "bounds", "passing"),
    [
        ("=", (2,), {2}),
        ("!=", (2,), {1, 3, 4}),
        ("<", (2,), {1}),
        ("<=", (2,), {1, 2}),
        (">", (2,), {3, 4}),
        (">=", (2,), {2, 3, 4}),
        ("between", (2, 3), {2, 3}),
        ("not between", (2, 3), {1, 4}),
    ],
)
def test_a_check_passes_up_to_its_bounds(operator: Operator, bounds: tuple[int, ...], passing: set[int]) -> None:
    def passes(value: int) -> bool:
        check = Check("some", f"select {value}", operator, tuple(map(Decimal, bounds)))
        with duckdb.connect() as session:
            [outcome] = judge_checks(session, replace(ORDERS, checks=(check,)), ())
        return outcome.passed

    assert {value for value in (1, 2, 3, 4) if passes(value)} == passing


def test_a_check_without_a_value_fails() -> None:
    check = Check("some", "select null", "=", (Decimal(0),))
    with duckdb.connect() as session:
        [outcome] = judge_checks(session, replace(ORDERS, checks=(check,)), ())
    assert (outcome.value, outcome.passed) == (None, False)


def part(low: int, high: int, *unknown: UnknownField) -> WindowPart:
    count = PartitionCount("t", 0, 10, 7, 2, 1, 1, low, high)
    return WindowPart("2026-01-01", (count, replace(count, partition=1)), (f"{low}.good",), (f"{low}.bad",), unknown)


def test_parts_of_a_window_are_added_up_by_partition() -> None:
    whole = merge_parts([part(5, 9), part(0, 4)])["2026-01-01"]
    counts = PartitionCount("t", 0, 20, 14, 4, 2, 2, 0, 9)
    assert whole.partitions == (counts, replace(counts, partition=1))
    assert (whole.good_files, whole.quarantine_files) == (("0.good", "5.good"), ("0.bad", "5.bad"))


def test_of_unknown_fields_in_parts_the_most_frequent_are_kept() -> None:
    rare = [UnknownField(f"rare{number:03}", "string", 1) for number in range(MOST_UNKNOWN)]
    often = UnknownField("often", "string", 3)
    whole = merge_parts([part(0, 4, *rare, often), part(5, 9, often)])["2026-01-01"]
    assert len(whole.unknown) == MOST_UNKNOWN
    assert UnknownField("often", "string", 6) in whole.unknown
    assert rare[-1] not in whole.unknown
