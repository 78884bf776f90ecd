"""Functions that metrics of the tests name."""

from typing import Any


def only_large(event: dict[str, Any]) -> dict[str, Any] | None:
    """Tens of pieces, of orders of more than five; thirteen brings bad luck."""
    if event["quantity"] == 13:
        raise ValueError("thirteen")
    return {**event, "quantity": event["quantity"] * 10} if event["quantity"] > 5 else None
