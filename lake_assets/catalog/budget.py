"""The budget of bad rows, as one more check of a window before it is published."""

from collections.abc import Sequence
from decimal import Decimal

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import CheckOutcome, WindowOutput

BUDGET = "quarantine_budget"
# Rules that a sentence names; the others are of no use to whoever reads it first.
_NAMED = 3


def budget_outcome(asset: Asset, output: WindowOutput) -> tuple[CheckOutcome, ...]:
    """Whether the window keeps to the asset's budget; `value` is its quarantined rows. Nothing without a budget."""
    budget = asset.quarantine
    if budget is None:
        return ()
    bad, judged = output.quarantined, output.good + output.quarantined
    passed = (budget.rows is None or bad <= budget.rows) and (
        budget.percent is None or 100 * bad <= budget.percent * judged
    )
    return (CheckOutcome(BUDGET, Decimal(bad), passed, blocking=True),)


def over_budget(asset: Asset, output: WindowOutput, broken: Sequence[tuple[str, str | None, int]]) -> str:
    """The sentence that an operator reads of a window over its budget. `broken` are rules, fields and rows."""
    bad, judged = output.quarantined, output.good + output.quarantined
    named = ", ".join(f"{rows:,} {code}" + (f" of {field}" if field else "") for code, field, rows in broken[:_NAMED])
    more = f" and {len(broken) - _NAMED} more rules" if len(broken) > _NAMED else ""
    return (
        f"{asset.name} {output.window} is held back: {bad:,} of {judged:,} rows broke a rule ({named}{more}), and its "
        f"budget is {asset.quarantine}. Mend the contract or its quarantine budget and run 'lake apply', or mend the "
        "producer and wait for the events that it sends again."
    )
