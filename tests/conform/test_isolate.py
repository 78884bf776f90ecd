"""Windows that fail are found among many in few attempts, and cost the others nothing."""

from collections.abc import Collection
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from lake_assets.catalog.failure import Cause
from lake_assets.conform.isolate import SAMPLE, Failed, IsolationTime, isolate


@dataclass
class Attempts:
    """Attempts that fail when one of the windows is wrong, with the first one's cause."""

    wrong: dict[str, str]
    tried: list[Collection[str]] = field(default_factory=list)
    now: float = 0.0

    def __call__(self, windows: Collection[str]) -> list[str]:
        self.tried.append(windows)
        self.now += 1
        for window in windows:
            if window in self.wrong:
                raise Failed(Cause(self.wrong[window]))
        return list(windows)

    def isolation_time(self, seconds: float = 1e9) -> IsolationTime:
        return IsolationTime(seconds, lambda: self.now)


def names(count: int) -> list[str]:
    return [f"w{number:04d}" for number in range(count)]


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))), st.booleans())
def test_each_window_is_made_or_has_its_own_cause(case: tuple[int, set[int]], same: bool) -> None:
    count, wrong = case
    windows = names(count)
    attempts = Attempts({windows[number]: "no 'a'" if same else f"{'no' * number} file" for number in wrong})
    found = isolate(windows, attempts, attempts.isolation_time())
    assert sorted([*found.results, *found.failed]) == windows
    for window, cause in found.failed.items():
        assert window in attempts.wrong or not cause.tried
        if cause.tried:
            assert cause.sentence == attempts.wrong[window]
    if not same:
        assert found.failed.keys() == attempts.wrong.keys()


def test_cause_common_to_all_windows_is_found_in_four_attempts() -> None:
    windows = names(1_000)
    attempts = Attempts({window: f"no such column in '{window}'" for window in windows})
    found = isolate(windows, attempts, attempts.isolation_time())
    assert len(attempts.tried) == 1 + SAMPLE
    assert found.failed.keys() == set(windows)
    assert sum(cause.tried for cause in found.failed.values()) == SAMPLE


def test_one_window_of_many_is_found_by_halving() -> None:
    windows = names(1_024)
    attempts = Attempts({"w0700": "damaged"})
    found = isolate(windows, attempts, attempts.isolation_time())
    assert found.failed == {"w0700": Cause("damaged")}
    assert len(found.results) == 1_023
    assert len(attempts.tried) <= 1 + SAMPLE + 2 * 10 + 1


def test_isolating_ends_when_its_time_is_spent() -> None:
    windows = names(500)
    attempts = Attempts({window: f"{'x' * number} is odd" for number, window in enumerate(windows) if number % 2})
    found = isolate(windows, attempts, attempts.isolation_time(10))
    assert len(attempts.tried) <= 1 + SAMPLE + 10
    assert sorted([*found.results, *found.failed]) == windows
    assert any("not tried yet, because of others" in cause.sentence for cause in found.failed.values())
