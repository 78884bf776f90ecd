"""Windows and calls that tests of `lake backfill` need on every target."""

from datetime import UTC
from pathlib import Path
from typing import Any

from lake_assets.operations.backfill import Backfilled, Build, Undo, backfill, undo
from lake_assets.settings import Settings
from tests.support.visits import Visits, make_visits, visit

FIRST, LAST = "2026-02-01", "2026-02-03"


def with_three_windows(settings: Settings, folder: Path) -> Visits:
    """Three windows with one or two good events each, and one in quarantine."""
    made = make_visits(settings, folder)
    made.land(visit(1, 1), visit(2, 1, guests=7), visit(3, 1, "south"), visit(4, 2, guests=7), visit(5, 3))
    made.refresh()
    assert made.staged() == ["v1", "v2", "v4", "v5"]
    return made


def run(visits: Visits, make: Build | None = None, first: str = FIRST, last: str = LAST) -> Backfilled:
    asset = visits.asset
    return backfill(visits.settings, {asset.name: asset}, asset, first, last, make or visits.make, log=lambda _: None)


def undo_backfill(visits: Visits) -> Undo:
    return undo(visits.settings, visits.asset, lambda _: None)


def shown(visits: Visits) -> list[list[tuple[Any, ...]]]:
    """Every row that readers see, but for when it was loaded."""
    return [visits.rows("* exclude (_loaded_at)"), visits.kept()]


def loaded(visits: Visits) -> dict[str, Any]:
    """Return by window the times when its rows were loaded."""
    return {start.astimezone(UTC).date().isoformat(): at for start, at in visits.rows("distinct _window, _loaded_at")}


def judge_strictly(visits: Visits) -> None:
    """Send rows with 7 guests to quarantine from now on; nothing is rebuilt by itself."""
    visits.apply("maximum: 10", "maximum: 5")
