"""Times of the retries of a failed window, and the report to the user."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lake_assets.catalog.failure import DIED, Cause
from lake_assets.ledger.ledger import Pending
from lake_assets.ledger.retries import (
    ALL,
    LONGEST_PAUSE,
    LOST_AFTER,
    MANY,
    Failure,
    Lane,
    causes_of_death,
    is_suspect,
    next_try,
    pause,
    requestable,
    select_entries,
    stands_for_all,
    trouble_of,
    troubles,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOON, BEFORE = NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)


def queued(asset: str, *windows: str) -> list[Pending]:
    return [Pending(n, asset, w, 1, "landed", 1, 1, 1, 0, 0, NOW, None) for n, w in enumerate(windows)]


def failure(window: str, following: datetime | None, cause: str = "it broke.", asset: str = "leads") -> Failure:
    return Failure(asset, window, cause, 3, BEFORE, following)


def chosen(lane: Lane, failures: list[Failure], *windows: str) -> list[str]:
    return [entry.window for entry in select_entries(lane, queued("leads", *windows), failures, NOW)[0]]


@given(st.integers(1, 10_000))
def test_pauses_grow_up_to_a_day(tries: int) -> None:
    assert timedelta(minutes=1) <= pause(tries) <= pause(tries + 1) <= LONGEST_PAUSE == timedelta(days=1)
    assert pause(tries) == LONGEST_PAUSE or pause(tries + 1) > pause(tries)


def test_what_trying_cannot_help_has_no_next_try() -> None:
    assert next_try(Cause("no column", curable=False), 1, NOW) is None
    assert next_try(Cause("no answer"), 2, NOW) == NOW + timedelta(minutes=2)


def died(window: str, tries: int) -> Failure:
    return Failure("leads", window, DIED.sentence, tries, BEFORE, BEFORE)


def test_window_that_may_have_killed_its_run_is_tried_alone_at_once() -> None:
    cause = causes_of_death(["a"], False, [])["a"]
    assert [next_try(cause, tries, NOW) for tries in (1, 2, 3)] == [NOW, NOW + pause(1), NOW + pause(2)]


def test_all_windows_wait_when_many_kill_their_run_each_by_itself() -> None:
    alone = [died(f"w{number}", 2) for number in range(MANY - 1)]
    known = [*alone, died("x", 1), died("y", 1)]
    assert causes_of_death(["x"], False, known).keys() == {"x", ALL}
    assert causes_of_death(["x"], True, known).keys() == {"x"}
    assert causes_of_death(["x", "y"], False, known).keys() == {"x", "y"}
    assert causes_of_death(["x"], False, [died("x", 1), *known[3:]]).keys() == {"x"}
    # One was tried for all of them.
    whole = causes_of_death(["x"], False, [failure(ALL, BEFORE)])
    assert next_try(whole[ALL], 1, NOW) == NOW + pause(1)


def test_only_windows_of_a_run_that_died_are_suspects() -> None:
    assert [is_suspect(one) for one in (died("a", 1), died(ALL, 1), failure("a", BEFORE))] == [True, False, False]


def test_failed_window_waits_for_its_next_try_and_the_others_do_not() -> None:
    failures = [failure("late", SOON), failure("due", BEFORE), failure("aside", None)]
    windows = ("good", "late", "due", "aside")
    assert chosen("fresh", failures, *windows) == ["good"]
    assert chosen("retry", failures, *windows) == ["due"]
    assert chosen("both", failures, *windows) == ["good", "due"]


def test_while_all_windows_fail_none_is_tried_before_the_next_try() -> None:
    for following, due in ((SOON, []), (None, []), (BEFORE, ["a", "b"])):
        failures = [failure(ALL, following), failure("a", BEFORE), failure("aside", None)]
        assert chosen("fresh", failures, "a", "b", "aside") == []
        assert chosen("retry", failures, "a", "b", "aside") == due
    assert select_entries("both", queued("leads", "a"), [failure(ALL, BEFORE)], NOW)[1] == {"leads": True}
    assert select_entries("both", queued("leads", "a"), [failure("a", BEFORE)], NOW)[1] == {"leads": False}


LANES = st.sampled_from(["fresh", "retry"])
TIMES = st.sampled_from([SOON, BEFORE, None])


@given(st.dictionaries(st.sampled_from(["a", "b", "c", ALL]), TIMES))
def test_failures_of_an_asset_choose_nothing_of_another(times: dict[str, datetime | None]) -> None:
    failures = [failure(window, following) for window, following in times.items()]
    pending = [*queued("leads", "a", "b", "c"), *queued("deals", "a", "b")]
    fresh, retry = (select_entries(lane, pending, failures, NOW)[0] for lane in ("fresh", "retry"))
    assert [entry.window for entry in fresh if entry.asset == "deals"] == ["a", "b"]
    assert not any(entry.asset == "deals" for entry in retry)
    assert not any(entry in fresh for entry in retry)


def test_a_try_is_requested_once_until_its_run_is_given_up() -> None:
    one = Failure("leads", "a", "it broke", 1, BEFORE, BEFORE, requested_at=NOW)
    other = failure("a", BEFORE, asset="deals")
    assert requestable([one, other], NOW + LOST_AFTER / 2) == [other]
    assert requestable([one, other], NOW + LOST_AFTER) == [one, other]


def test_many_windows_of_one_cause_stand_for_all_unless_one_was_made() -> None:
    causes = {f"w{number}": Cause(f"no 'x{number}' in /a/{number}") for number in range(MANY)}
    assert stands_for_all(causes, made=False, known=[]) == causes["w0"]
    assert stands_for_all(causes, made=True, known=[]) is None
    assert stands_for_all({**causes, "odd": Cause("another one")}, made=False, known=[]) is None
    assert stands_for_all({"w0": causes["w0"]}, made=False, known=[]) is None
    known = [failure(f"k{number}", BEFORE, "no 'y' in /b") for number in range(MANY - 1)]
    assert stands_for_all({"w0": causes["w0"]}, made=False, known=known) == causes["w0"]


def test_a_failure_is_reported_once_for_each_cause_with_the_remedy() -> None:
    failures = [failure("a", SOON, "no 'x'"), failure("b", None, "no 'y'"), failure("c", SOON, "other")]
    whole, other = troubles(failures, {("leads", "a"), ("leads", "b"), ("leads", "c")})
    assert whole.windows == ("a", "b")
    assert str(other) == (
        "leads: window c cannot be built: other. Tried 3 times, last at 2026-03-01 11:59 UTC; "
        "the next try is at 2026-03-01 12:00 UTC. "
        "It is retried automatically while the stack is up, or at once with `lake run leads`."
    )
    (all_windows,) = troubles([failure(ALL, None), failure("a", BEFORE)], {("leads", "a")})
    assert "leads: all windows cannot be built: it broke. " in str(all_windows)
    assert "it is set aside, because a retry cannot help. Correct the contract and" in str(all_windows)


def test_trouble_of_windows_that_are_not_queued_is_over() -> None:
    assert troubles([failure("a", SOON), failure(ALL, SOON)], {("deals", "a")}) == []


def test_trouble_of_a_window_is_its_own_or_that_of_all() -> None:
    failures = [failure(ALL, SOON, "all fail"), failure("aside", None, "its own")]
    troubles_of_windows = [trouble_of("leads", window, failures) for window in ("a", "aside")]
    assert [one.cause for one in troubles_of_windows if one] == ["all fail", "its own"]
    assert trouble_of("deals", "a", failures) is None
