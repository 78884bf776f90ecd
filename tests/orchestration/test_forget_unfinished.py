"""`lake why` and the backlog, which asks the broker, report an erasure that died."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from lake_assets.cli.why import command as why
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger, Pending
from lake_assets.operations.backlog import backlog
from lake_assets.operations.erasure.execute import forget
from lake_assets.operations.erasure.search import begun
from lake_assets.settings import Settings
from tests.support.erasures import die_at, holding, key, planned, with_a_person
from tests.support.visits import Visits


@pytest.fixture
def visits(stack: Settings, tmp_path: Path) -> Visits:
    return with_a_person(stack, tmp_path)


def test_an_unfinished_removal_is_shown_with_what_finishes_it(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    checksum = planned(visits).checksum
    die_at(visits, monkeypatch, "remove_rows", True)
    finishing = f"lake forget {visits.asset.name} --confirm {checksum}"
    monkeypatch.setenv("LAKE_CATALOG", "none")  # what is applied judges
    output = CliRunner().invoke(why, [visits.asset.name, "2026-02-01"], catch_exceptions=False).output
    assert "The erasure of a subject that was started on" in output
    assert f"Unless a process is running it: `{finishing}`\n" in output
    assert "of a subject" not in CliRunner().invoke(why, [visits.asset.name, "2026-02-03"]).output
    (asset,) = backlog(visits.settings, [visits.asset])
    assert asset.forgetting is not None
    assert asset.forgetting.endswith(f"UTC is not finished; unless a process is running it: `{finishing}`")
    with Ledger(visits.settings) as ledger:
        assert begun(visits.settings, ledger, visits.asset, "000000000000") is None
        found = begun(visits.settings, ledger, visits.asset, checksum)
        assert found is not None
        assert found.rows == 3

        def make(_: Sequence[Pending]) -> dict[str, str]:
            return visits.refresh().failed

        receipt, _ = forget(visits.settings, ledger, visits.asset, [], (), checksum=checksum, force=False, build=make)
        assert receipt.done_at is not None
        with pytest.raises(LakeError, match="is finished already, by another process"):
            forget(visits.settings, ledger, visits.asset, [], (), checksum=checksum, force=False, build=make)
    assert holding(visits, key(visits)) == []
    (asset,) = backlog(visits.settings, [visits.asset])
    assert asset.forgetting is None
