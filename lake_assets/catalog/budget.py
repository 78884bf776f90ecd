"""The quarantine budget, as one more check of a window before it is published."""

from collections.abc import Sequence
from decimal import Decimal

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import CheckOutcome, WindowOutput

BUDGET = "quarantine_budget"
# Rules that a message lists; more would hide the important ones.
_NAMED = 3


def budget_outcome(asset: Asset, output: WindowOutput) -> tuple[CheckOutcome, ...]:
    """Check a window against the asset's budget; `value` is its quarantined rows. Return nothing without a budget."""
    budget = asset.quarantine
    if budget is None:
        return ()
    bad, total = output.quarantined, output.good + output.quarantined
    passed = (budget.rows is None or bad <= budget.rows) and (
        budget.percent is None or 100 * bad <= budget.percent * total
    )
    return (CheckOutcome(BUDGET, Decimal(bad), passed, blocking=True),)


def over_budget(asset: Asset, output: WindowOutput, broken: Sequence[tuple[str, str | None, int]]) -> str:
    """Return the message about a window over its budget. `broken` are rules, fields and rows."""
    bad, total = output.quarantined, output.good + output.quarantined
    named = ", ".join(f"{rows:,} {code}" + (f" of {field}" if field else "") for code, field, rows in broken[:_NAMED])
    more = f" and {len(broken) - _NAMED} more rules" if len(broken) > _NAMED else ""
    return (
        f"{asset.name} {output.window} is held back: {bad:,} of {total:,} rows broke a rule ({named}{more}), and its "
        f"budget is {asset.quarantine}. Fix the contract or its quarantine budget and run `lake apply`, or fix the "
        "producer and wait for the corrected events."
    )
