"""An asset whose refresh is due, and a lake beside the session's with a database, a domain and a bucket of its own."""

from collections.abc import Generator
from pathlib import Path

import pytest

from lake_assets.settings import Settings
from tests.buckets.conftest import applied_lake
from tests.end_to_end.conftest import Lake
from tests.support.buckets import Bucket
from tests.support.visits import Visits, make_visits, visit


@pytest.fixture
def visits(stack: Settings, tmp_path: Path) -> Generator[Visits]:
    """Return visits with the published and due rows of `tests.support.staging_readers`, and a quarantined row."""
    made = make_visits(stack, tmp_path)
    made.land(visit(1, 1), visit(2, 1))
    made.refresh()
    made.land(visit(1, 1, guests=9, minute=1), visit(3, 1), visit(4, 2), visit(5, 2, "nowhere"))
    yield made
    made.unapply()


@pytest.fixture(scope="session")
def lake(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Generator[Lake]:
    """Sales of a domain of its own, in a folder."""
    folder = tmp_path_factory.mktemp("faults")
    with applied_lake(stack, folder, "faults", Bucket(f"file://{folder}/bucket", {})) as made:
        yield made
