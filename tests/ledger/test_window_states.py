from datetime import UTC, datetime

from lake_assets.ledger.ledger import HeldBack, PublishedWindow
from lake_assets.ledger.window_states import NO_STATE, WindowState, window_state

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PUBLISHED = (7, "1.0.0", "run", "duckdb", 10, 7, 2, 1, 100, 0.5, NOW, 0)
NOTHING = (None,) * 12
ENTRY = PublishedWindow("orders", "d1", *PUBLISHED)
HELD_BACK = HeldBack("orders", "d1", "run", ["row_count"], NOW, "too many")
REST = (None,) * 11


def test_row_of_the_query_becomes_a_state() -> None:
    values = [*PUBLISHED, 5, "run", ["row_count"], NOW, "too many", NOW, None, NOW, 3, 2, True]
    assert window_state("orders", "d1", values) == WindowState(
        published=ENTRY,
        queued_rows=5,
        held_back=HELD_BACK,
        removed_at={"raw": NOW, "quarantine": NOW},
        removed_rows=3,
        erased_rows=2,
        is_being_erased=True,
    )


def test_values_that_are_missing_are_no_state() -> None:
    assert window_state("orders", "d1", [*NOTHING, *REST]) == NO_STATE
    assert window_state("orders", "d1", [*PUBLISHED, *REST]) == WindowState(ENTRY)


def test_window_is_at_rest_unless_it_is_queued_or_held_back() -> None:
    assert WindowState(ENTRY).is_at_rest
    assert not WindowState(ENTRY, queued_rows=0).is_at_rest
    assert not WindowState(ENTRY, held_back=HELD_BACK).is_at_rest


def test_window_can_be_rebuilt_while_raw_or_both_tables_are_whole() -> None:
    assert [
        WindowState(removed_at=dict.fromkeys(elements, NOW)).can_rebuild
        for elements in ((), ("raw",), ("staging", "quarantine"), ("raw", "quarantine"))
    ] == [True, True, True, False]
    assert WindowState(removed_at={"raw": NOW}).raw_is_lost
    assert not WindowState(removed_at={"staging": NOW}).raw_is_lost


def test_rows_removed_before_the_first_publication_are_accounted_for() -> None:
    assert WindowState(ENTRY, removed_rows=99).accounted_rows == ENTRY.raw_rows
    assert WindowState(removed_rows=99).accounted_rows == 99
