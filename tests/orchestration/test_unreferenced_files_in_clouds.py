"""Conformed files of rebuilt windows are removed where staging is Athena's or BigQuery's, by their doubles."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from lake_assets.operations.housekeeping import clean
from lake_assets.settings import Settings
from tests.support.visits import made_often, visit


def test_files_of_earlier_states_expire_after_an_hour_unseen_by_readers(cloud: Settings, tmp_path: Path) -> None:
    visits = made_often(cloud, tmp_path)
    rows, kept = visits.rows("*"), visits.kept()
    for later, left in ((timedelta(), 10), (timedelta(hours=1, minutes=1), 2)):
        clean(visits.settings, [visits.asset], datetime.now(UTC) + later, print)
        assert visits.conformed() == left
        assert (visits.rows("*"), visits.kept()) == (rows, kept)
    visits.land(visit(9, 1))
    visits.refresh()
    assert visits.staged() == ["v0", "v1", "v2", "v3", "v4", "v9"]
    assert visits.in_balance()
