"""A bucket that refuses to be written, or is full: nothing is half published, and the next refresh makes it good."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from lake_assets.settings import Settings
from tests.support.halted_refresh import refresh_apart, refresh_halted, refusal
from tests.support.refusing_folders import read_only, small
from tests.support.staging_readers import AFTER, BEFORE, reader, state
from tests.support.visits import Visits, make_visits, visit


def folders(visits: Visits) -> Sequence[Path]:
    """Return the folders that a refresh of the asset writes to."""
    bucket = Path(visits.settings.bucket.removeprefix("file://"))
    return bucket / "conformed" / visits.asset.name, bucket / "staging" / visits.asset.staging_schema


def assert_made_good(visits: Visits) -> None:
    visits.refresh()
    assert state(visits) == AFTER
    assert [row[2] for row in visits.kept()] == [visit(5, 2, "nowhere")]
    assert visits.in_balance()
    assert visits.refresh().published == [], "nothing is left to do"


@pytest.mark.fault(
    "the bucket (a folder) becomes read-only amid a refresh, before its files or before its tables",
    "one sentence reports it and nothing has changed; once it may be written, the next refresh makes it good",
)
@pytest.mark.parametrize("point", ["files are to be written", "tables are to change"])
def test_a_bucket_that_becomes_read_only_changes_nothing(visits: Visits, tmp_path: Path, point: str) -> None:
    with reader(visits) as seen:
        with ExitStack() as refusing:
            with refresh_halted(visits, tmp_path, point) as process:
                for folder in folders(visits):
                    refusing.enter_context(read_only(folder))
            assert re.search("bucket .* (cannot be used|has room and lets this process write)", refusal(process))
            assert state(visits) == BEFORE
        assert_made_good(visits)
    assert seen <= {BEFORE, AFTER}


@pytest.mark.fault(
    "the bucket (a folder) is full after the first of two windows",
    "one sentence reports it, what fits is published whole, and no half file stays; the next refresh makes the rest",
)
def test_a_full_bucket_publishes_what_fits_and_the_rest_once_there_is_room(stack: Settings, tmp_path: Path) -> None:
    visits = make_visits(stack, tmp_path)
    random = Random(5)
    # Numbers without order, which no compression makes small.
    large = [visit(random.getrandbits(200), 2) for _ in range(5000)]
    visits.land(visit(1, 1), *large)
    with small(folders(visits)[0], 64) as grow:
        assert "No space left on device" in refusal(refresh_apart(visits, tmp_path / "effects", "never"))
        assert visits.staged() == ["v1"]
        assert len([path for path in folders(visits)[0].rglob("*") if path.is_file()]) == 1
        grow(16_384)
        assert [output.window for output in visits.refresh().published] == ["2026-02-02"]
        assert len(visits.staged()) == 1 + len(large)
        assert visits.in_balance()
        assert visits.refresh().published == [], "nothing is left to do"
