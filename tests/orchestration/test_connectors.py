"""Restart times of a failed connector."""

from datetime import UTC, datetime, timedelta

import pytest

from lake_assets.orchestration.connectors import Failing, next_tries

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def tries(ticks: int, failed: frozenset[int] | None = None) -> list[float]:
    """Seconds of the tries of a connector that a tick every 15 seconds finds failed (in these ticks, or always)."""
    found: list[float] = []
    known: dict[str, Failing] = {}
    for tick in range(ticks):
        now = NOW + timedelta(seconds=15 * tick)
        down = ["sales"] if failed is None or tick in failed else []
        due, known = next_tries(known, down, now)
        found += [15.0 * tick] * len(due)
    return found


def test_a_connector_is_retried_at_once_then_backs_off_up_to_ten_minutes() -> None:
    assert tries(200)[:8] == [0, 15, 45, 105, 225, 465, 945, 1545]


@pytest.mark.fault("a sink goes on failing", "it is tried again with growing pauses, and not for ever")
def test_it_is_not_tried_for_ever() -> None:
    assert tries(3 * 24 * 240)[-1] <= 24 * 3600
    assert len(tries(3 * 24 * 240)) < 160


def test_a_connector_that_ran_in_between_backs_off_from_the_start() -> None:
    assert tries(20, frozenset([0, 1, 2, 3, 10, 11])) == [0, 15, 45, 150, 165]


def test_each_connector_has_its_own_pauses() -> None:
    known = {"old": Failing(NOW.timestamp() - 3600, 7, NOW.timestamp() + 300)}
    due, after = next_tries(known, ["old", "new"], NOW)
    assert due == ["new"]
    assert after["old"] == known["old"]
