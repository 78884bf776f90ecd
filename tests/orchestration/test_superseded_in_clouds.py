"""Conformed files of windows that were made again go where staging is Athena's or BigQuery's, by their doubles."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lake_assets.orchestration.cleaning import clean
from lake_assets.settings import Settings
from tests.orchestration.visits import Visits, make_visits, visit


@pytest.fixture
def visits(cloud: Settings, tmp_path: Path) -> Visits:
    """A window that was made three times, with a good row more and one in quarantine each time."""
    made = make_visits(cloud, tmp_path)
    for number in range(3):
        made.land(visit(number, 1), visit(100 + number, 1, "south"))
        made.refresh()
    return made


def test_files_of_earlier_states_go_after_an_hour_and_readers_see_what_they_saw(visits: Visits) -> None:
    rows, kept = visits.rows("*"), visits.kept()
    for later, left in ((timedelta(), 6), (timedelta(hours=1, minutes=1), 2)):
        clean(visits.settings, [visits.asset], datetime.now(UTC) + later, print)
        assert visits.conformed() == left
        assert (visits.rows("*"), visits.kept()) == (rows, kept)
    visits.land(visit(9, 1))
    visits.refresh()
    assert visits.staged() == ["v0", "v1", "v2", "v9"]
    assert visits.in_balance()
