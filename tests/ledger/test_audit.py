"""The audit's arithmetic: what is proven by counts alone, and where a person must look."""

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from lake_assets.catalog.table_counts import TableCounts
from lake_assets.catalog.window_results import PartitionCount
from lake_assets.ledger.audit import (
    AssetAudit,
    OffsetRange,
    PartitionAudit,
    WindowAudit,
    audit_windows,
    runs,
    stale_windows,
    subtract,
    unexplained_ranges,
)
from lake_assets.ledger.ledger import HeldBack, PublishedWindow
from lake_assets.ledger.window_states import WindowState

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def published(raw: int, good: int, quarantined: int = 0, window: str = "d1") -> PublishedWindow:
    duplicates = raw - good - quarantined
    return PublishedWindow(
        "orders", window, 1, "1.0.0", "run", "duckdb", raw, good, quarantined, duplicates, 1, 0.1, NOW
    )


HELD_BACK = HeldBack("orders", "d1", "run", ["row_count"], NOW, None)


def audited(state: WindowState, raw: int, *tables: int) -> WindowAudit:
    (window,) = audit_windows({"d1": state}, {"d1": raw}, {"d1": TableCounts(tables[0], tables[1])} if tables else {})
    return window


def counted(low: int, high: int, raw: int, redelivered: int = 0) -> PartitionCount:
    return PartitionCount("t", 0, raw, raw, 0, 0, redelivered, low, high)


def test_a_window_whose_four_counts_agree_has_no_problem() -> None:
    window = audited(WindowState(published(10, 7, 2)), 10, 7, 2)
    assert window.problems == ()
    assert (window.raw, window.good, window.quarantined, window.duplicates) == (10, 7, 2, 1)


def test_each_count_that_disagrees_is_named() -> None:
    window = audited(WindowState(published(10, 7, 2)), 11, 6, 3)
    assert window.problems == (
        "raw holds 11 rows but the ledger accounts for 10",
        "staging holds 6 rows but the ledger has 7",
        "quarantine holds 3 rows but the ledger has 2",
    )


def test_a_raw_window_that_is_neither_published_nor_queued_is_a_problem() -> None:
    (window,) = audit_windows({}, {"d1": 5}, {})
    assert window.problems == ("raw holds 5 rows but the ledger accounts for 0",)


def test_a_queued_or_held_back_window_may_differ_from_raw_not_from_tables() -> None:
    entry = published(10, 10)
    for state in (WindowState(entry, queued_rows=5), WindowState(entry, held_back=HELD_BACK)):
        window = audited(state, 15, 9, 0)
        assert window.problems == ("staging holds 9 rows but the ledger has 10",)


def test_windows_whose_ledger_is_behind_raw_are_counted_in_raw() -> None:
    states = {
        "d1": WindowState(published(10, 10)),
        "d2": WindowState(published(3, 3), queued_rows=0),
        "d3": WindowState(published(3, 3)),
        "d4": WindowState(queued_rows=1),
    }
    raw = {"d1": 11, "d2": 3, "d3": 3, "d5": 0}
    assert stale_windows(states, raw) == {"d1", "d2", "d5"}


def test_counts_that_fill_the_partition_need_no_look() -> None:
    assert unexplained_ranges("t", 0, (0, 100), [counted(0, 99, 60), counted(10, 50, 40)]) == []


def test_a_missing_offset_is_looked_for_only_outside_of_dense_windows() -> None:
    dense, sparse = counted(0, 49, 50), counted(50, 99, 49)
    assert unexplained_ranges("t", 0, (0, 100), [dense, sparse]) == [OffsetRange("t", 0, 50, 99)]


def test_a_record_delivered_twice_does_not_hide_a_lost_one() -> None:
    assert unexplained_ranges("t", 0, (0, 10), [counted(0, 9, 10, redelivered=1)]) == [OffsetRange("t", 0, 0, 9)]


def test_records_that_the_broker_has_forgotten_still_count() -> None:
    assert unexplained_ranges("t", 0, (60, 100), [counted(0, 99, 100)]) == []


def test_a_gap_puts_the_asset_out_of_balance() -> None:
    def asset(*gaps: OffsetRange) -> AssetAudit:
        return AssetAudit("orders", (), (PartitionAudit("t", 0, 0, 10, 9, 0, 0, gaps),))

    assert asset().in_balance
    assert not asset(OffsetRange("t", 0, 3, 3)).in_balance


@given(
    st.integers(0, 50),
    st.integers(0, 50),
    st.lists(st.tuples(st.integers(-5, 60), st.integers(0, 10)).map(lambda t: (t[0], t[0] + t[1]))),
)
def test_what_is_left_of_a_range_is_exactly_what_no_part_covers(
    first: int, length: int, parts: list[tuple[int, int]]
) -> None:
    whole = OffsetRange("t", 0, first, first + length)
    left = {offset for r in subtract(whole, parts) for offset in range(r.first, r.last + 1)}
    assert left == set(range(first, first + length + 1)) - {o for low, high in parts for o in range(low, high + 1)}


@given(st.sets(st.integers(0, 60)))
def test_runs_hold_exactly_the_offsets_and_no_two_touch(offsets: set[int]) -> None:
    found = runs(sorted(offsets))
    assert {offset for low, high in found for offset in range(low, high + 1)} == offsets
    assert all(later[0] > earlier[1] + 1 for earlier, later in pairwise(found))


def test_gaps_below_the_brokers_first_offset_are_looked_for() -> None:
    """The broker has removed offsets 0 to 59 since; what raw lacks of them is lost all the same."""
    assert unexplained_ranges("t", 0, (60, 100), [counted(0, 99, 99)]) == [OffsetRange("t", 0, 0, 99)]


def test_windows_under_erasure_are_not_compared_until_it_has_ended() -> None:
    entry = published(10, 10)
    during = audited(WindowState(entry, erased_rows=1, is_being_erased=True), 9, 9, 0)
    after = audited(WindowState(entry, erased_rows=1), 9, 9, 0)
    assert (during.problems, during.forgotten) == ((), 1)
    assert after.problems == (
        "raw holds 9 rows but the ledger accounts for 10",
        "staging holds 9 rows but the ledger has 10",
    )


def test_rows_that_landed_after_retention_are_late_and_no_problem() -> None:
    window = audited(WindowState(published(10, 10), removed_at={"raw": NOW}, removed_rows=10), 3, 10, 0)
    assert (window.problems, window.removed, window.late) == ((), 10, 3)


def test_without_retention_no_row_is_late() -> None:
    window = audited(WindowState(published(10, 10)), 12, 10, 0)
    assert (window.late, len(window.problems)) == (0, 1)


def test_raw_rows_missing_beyond_what_retention_took_are_a_problem() -> None:
    window = audited(WindowState(published(12, 12), removed_at={"raw": NOW}, removed_rows=10), 1, 12, 0)
    assert window.problems == ("raw holds 1 rows and retention removed 10, but the ledger accounts for 12",)
    assert window.late == 0


def test_window_that_retention_took_before_its_version_has_no_problem() -> None:
    window = audited(WindowState(removed_at={"raw": NOW}, removed_rows=10), 0)
    assert (window.problems, window.late) == ((), 0)


def test_rows_that_retention_should_have_taken_are_a_problem() -> None:
    removed = WindowState(published(10, 8, 2), removed_at={"staging": NOW, "quarantine": NOW})
    left = audited(removed, 10, 8, 2)
    assert left.problems == (
        "staging holds 8 rows but the ledger has them as removed by retention",
        "quarantine holds 2 rows but the ledger has them as removed by retention",
    )
    assert audited(removed, 10).problems == ()


def test_window_of_which_only_a_removal_is_known_is_not_listed() -> None:
    states = {"d1": WindowState(removed_at={"raw": NOW}, removed_rows=10), "d2": WindowState(erased_rows=0)}
    assert [window.window for window in audit_windows(states, {}, {})] == ["d2"]
