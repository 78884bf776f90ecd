"""Two that do the same at once do it once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Lake
from tests.faults.reading import AFTER, BEFORE, reader, state
from tests.faults.refreshing import refresh_apart
from tests.faults.sales import landed, send
from tests.orchestration.visits import Visits


@pytest.mark.fault(
    "two processes refresh the same windows at once", "one waits for the other, and each row is there once"
)
def test_two_refreshes_of_the_same_windows_publish_each_row_once(visits: Visits, tmp_path: Path) -> None:
    with reader(visits) as seen, ExitStack() as running:
        processes = [running.enter_context(refresh_apart(visits, tmp_path / str(n), "never")) for n in range(2)]
        for process in processes:
            assert process.communicate(timeout=120)[1] == ""
            assert process.returncode == 0
    assert seen <= {BEFORE, AFTER}
    assert state(visits) == AFTER
    assert len(visits.kept()) == 1
    assert visits.in_balance()
    assert visits.refresh().published == [], "nothing is left to do"


@pytest.mark.fault("two `lake run` at once", "both end well, and each row is there once, down to the mart")
def test_two_runs_at_once_publish_each_row_once(lake: Lake) -> None:
    before = landed(lake)
    send(lake, (f"at once {number}" for number in range(500)))
    with ThreadPoolExecutor() as pool:
        answers = list(pool.map(lambda _: lake("run"), range(2)))
    assert [answer.code for answer in answers] == [0, 0], answers
    assert landed(lake) == before + 500
    assert "up to date" in lake.ok("run").out
