"""A clock that was set back changes nothing for the worse."""

from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from lake_assets.conform import duckdb
from lake_assets.conform import rebuild_without_raw as kept
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations import retention
from lake_assets.operations.retention import RetentionPlan, maintain, plan_retention
from lake_assets.warehouse.local.ducklake import DuckLake
from tests.support.staging_readers import AFTER, BEFORE, reader, state
from tests.support.visits import Visits, visit

# The window of the first of February, kept for ten days, is too old from here on.
LIMIT = datetime(2026, 2, 12, tzinfo=UTC)


class Behind(datetime):
    """A clock that is an hour slow."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) - timedelta(hours=1)


@pytest.fixture(autouse=True)
def set_back(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock back after the first refresh."""
    for place in (duckdb, kept, retention):
        monkeypatch.setattr(place, "datetime", Behind)


@pytest.mark.fault(
    "the clock is set back by an hour between two refreshes", "the same rows, and no window is lost or made for nothing"
)
def test_a_refresh_whose_clock_was_set_back_makes_the_same(visits: Visits) -> None:
    with reader(visits) as seen:
        assert [output.window for output in visits.refresh().published] == ["2026-02-01", "2026-02-02"]
        assert state(visits) == AFTER
    assert seen <= {BEFORE, AFTER}
    first_seen = visits.kept()
    visits.land(visit(1, 1, guests=8, minute=2), visit(3, 1))
    visits.refresh()
    assert state(visits) == (("v1", 8), *AFTER[1:])
    assert visits.kept() == first_seen
    assert visits.in_balance()
    assert visits.refresh().published == [], "nothing is left to do"


@pytest.mark.fault(
    "the clock is set back by an hour after retention removed a window", "nothing more goes, nothing comes back"
)
def test_retention_whose_clock_was_set_back_removes_no_more(visits: Visits) -> None:
    visits.refresh()
    kept_for = "slaProperties: [{property: retention, element: raw, value: 10, unit: d}]\ncustomProperties:"
    visits.apply("customProperties:", kept_for)
    agreed = planned(visits, LIMIT)
    assert [list(removal.rows) for removal in agreed.removals] == [["2026-02-01"]]
    with Ledger(visits.settings) as ledger:
        maintain(visits.settings, ledger, DuckLake(visits.settings), [visits.asset], LIMIT, agreed.checksum)
    assert planned(visits, LIMIT - timedelta(hours=1)) == RetentionPlan((), ())
    visits.land(visit(9, 2))
    visits.refresh()
    assert visits.staged() == ["v1", "v2", "v3", "v4", "v9"]
    assert planned(visits, LIMIT - timedelta(hours=1)) == planned(visits, LIMIT) == RetentionPlan((), ())


def planned(visits: Visits, now: datetime) -> RetentionPlan:
    with Ledger(visits.settings) as ledger:
        return plan_retention(visits.settings, ledger, DuckLake(visits.settings), [visits.asset], now)
