"""The budget of bad rows: its form in a contract, and the windows within it."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.catalog.budget import BUDGET, budget_outcome, over_budget
from lake_assets.catalog.model import QuarantineBudget
from lake_assets.catalog.window_results import PartitionCount, WindowOutput
from tests.support.contracts import changed, parse, problems

ORDERS = parse()
COMPATIBILITY = "  - {property: compatibility, value: additive}\n"


def contract(value: str) -> str:
    return changed(COMPATIBILITY, f"{COMPATIBILITY}  - {{property: quarantine, value: {value}}}\n")


def window(good: int, quarantined: int, duplicates: int = 0) -> WindowOutput:
    raw = good + quarantined + duplicates
    count = PartitionCount("shop.orders", 0, raw, good, quarantined, duplicates, 0, 0, raw)
    return WindowOutput("2026-01-01", raw, (count,), (), (), 1, ())


@pytest.mark.parametrize(
    ("value", "budget"),
    [
        ("{maxRows: 0}", QuarantineBudget(0)),
        ("{maxPercent: 0.5}", QuarantineBudget(None, Decimal("0.5"))),
        ("{maxRows: 100, maxPercent: 5}", QuarantineBudget(100, Decimal(5))),
    ],
)
def test_a_contract_may_limit_rows_percent_or_both(value: str, budget: QuarantineBudget) -> None:
    assert parse(contract(value)).quarantine == budget


@pytest.mark.parametrize("value", ["{}", "{maxRows: -1}", "{maxRows: 1.5}", "{maxPercent: 101}", "{most: 3}", "5"])
def test_a_budget_that_makes_no_sense_is_refused_at_its_line(value: str) -> None:
    (problem,) = problems(contract(value))
    assert "orders.yaml:16: customProperties[3].value" in problem


def test_a_check_cannot_take_the_name_of_the_budget() -> None:
    (problem,) = problems(changed("name: no_large_order", f"name: {BUDGET}"))
    assert "as the lake's own is" in problem


@pytest.mark.parametrize(
    ("budget", "output", "passed"),
    [
        (QuarantineBudget(2), window(0, 2), True),
        (QuarantineBudget(2), window(1000, 3), False),
        (QuarantineBudget(None, Decimal(5)), window(95, 5), True),
        (QuarantineBudget(None, Decimal(5)), window(95, 6), False),
        (QuarantineBudget(None, Decimal(5)), window(5, 5, duplicates=1000), False),
        (QuarantineBudget(2, Decimal(50)), window(1, 2), False),
        (QuarantineBudget(2, Decimal(50)), window(9, 3), False),
        (QuarantineBudget(0, Decimal(0)), window(0, 0), True),
    ],
)
def test_a_window_keeps_to_both_limits(budget: QuarantineBudget, output: WindowOutput, passed: bool) -> None:
    (outcome,) = budget_outcome(replace(ORDERS, quarantine=budget), output)
    assert (outcome.passed, outcome.blocking, outcome.value) == (passed, True, output.quarantined)


def test_without_a_budget_nothing_is_checked() -> None:
    assert budget_outcome(ORDERS, window(0, 99)) == ()


@given(good=st.integers(0, 50), bad=st.integers(0, 50), percent=st.integers(0, 100))
def test_one_bad_row_more_never_brings_a_window_within_its_budget(good: int, bad: int, percent: int) -> None:
    asset = replace(ORDERS, quarantine=QuarantineBudget(None, Decimal(percent)))
    (before,), (after,) = budget_outcome(asset, window(good, bad)), budget_outcome(asset, window(good, bad + 1))
    assert before.passed or not after.passed


def test_the_sentence_names_window_numbers_reasons_budget_and_what_to_do() -> None:
    asset = replace(ORDERS, quarantine=QuarantineBudget(10, Decimal("0.5")))
    broken = [("enum", "origin", 30), ("missing", "amount", 9), ("not_json", None, 2), ("type", "rate", 1)]
    assert over_budget(asset, window(958, 42), broken) == (
        "orders 2026-01-01 is held back: 42 of 1,000 rows broke a rule (30 enum of origin, 9 missing of amount, "
        "2 not_json and 1 more rules), and its budget is 10 rows and 0.5 percent. Fix the contract or its quarantine "
        "budget and run `lake apply`, or fix the producer and wait for the corrected events."
    )
