"""A machine that loses its power keeps every file that a commit names."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lake_assets.bucket import local_path
from lake_assets.landing.compaction import MIN_FILES
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.compaction import compact_closed
from lake_assets.operations.erasure.execute import forget
from lake_assets.operations.erasure.search import plan_erasure, wanted_fields
from lake_assets.settings import Settings
from tests.support.landed_records import read_raw
from tests.support.power_cut import recorded_disk
from tests.support.visits import Visits, make_visits, visit


def publish(visits: Visits) -> None:
    visits.refresh()


def rebuild(visits: Visits) -> None:
    visits.rebuild("2026-02-01")


def compact(visits: Visits) -> None:
    with Ledger(visits.settings) as ledger:
        assert compact_closed(visits.settings, ledger, [visits.asset], datetime(2026, 2, 20, tzinfo=UTC))


def erase(visits: Visits) -> None:
    with Ledger(visits.settings) as ledger:
        wanted = wanted_fields(visits.asset, ["v3"])
        plan = plan_erasure(visits.settings, ledger, visits.asset, wanted)
        forget(
            visits.settings, ledger, visits.asset, [], wanted,
            checksum=plan.checksum, force=False, build=lambda _: visits.refresh().failed,
        )  # fmt: skip


@pytest.mark.fault(
    "the power fails after a commit of new windows, of a rebuild, of compaction, of an erasure: only what was synced "
    "is left of the bucket (a folder, on a double of the disk)",
    "every row that the commits have is there",
)
@pytest.mark.parametrize("action", [publish, rebuild, compact, erase])
def test_power_cut_after_a_commit_costs_none_of_its_files(
    lake: Settings, tmp_path: Path, action: Callable[[Visits], None]
) -> None:
    visits = make_visits(lake, tmp_path)
    for number in range(MIN_FILES):
        visits.land(visit(number, 1, "north" if number % 3 else "south"), visit(100 + number, 2))
    if action is not publish:
        visits.refresh()
    bucket = Path(local_path(lake.bucket))
    with recorded_disk() as disk:
        disk.sync_all(bucket)
        action(visits)
    before = (visits.both("*", "*"), read_raw(lake, visits.asset))
    disk.cut(bucket)
    assert (visits.both("*", "*"), read_raw(lake, visits.asset)) == before
    visits.rebuild("2026-02-01", "2026-02-02")
    assert visits.in_balance()
