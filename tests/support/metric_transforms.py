"""Functions that metrics of the tests name."""

from typing import Any


def only_large(event: dict[str, Any]) -> dict[str, Any] | None:
    """Tens of pieces, of orders of more than five; some numbers bring bad luck."""
    match event["quantity"]:
        case 13:
            raise ValueError("thirteen")
        case 14:
            return {}
        case 15:
            return {**event, "quantity": 150.5}
        case 16:
            return {**event, "region": None}
        case number:
            return {**event, "quantity": number * 10} if number > 5 else None
