"""Folding, closing, and what is restored, on a partition's state alone."""

from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.events import NUMBER, Events, short_key
from stream_app.state import Delta, LateRow, PartitionState, Row, UnknownRecord, late_as_json, rows_as_json
from tests.support.metric_examples import metric, orders

ORDERS = orders()
METRIC = metric(ORDERS)
MINUTE = 60_000
GROUP = ("north", 7, True)
FAR = 10**15


def events(*given: tuple[int, str, int], group: Any = GROUP) -> Events:
    """Events of (time in ms, key, amount)."""
    times = [time for time, _, _ in given]
    count = len(given)
    columns: dict[str, Any] = {
        "_position": pa.array(range(count), pa.int64()),
        "_window": pa.array([time // MINUTE * MINUTE for time in times], pa.int64()),
        "_g0": pa.array([group[0]] * count, pa.string()),
        "_g1": pa.array([group[1]] * count, pa.int64()),
        "_g2": pa.array([group[2]] * count, pa.bool_()),
        "_v0": pa.array([Decimal(1)] * count, NUMBER),
        "_v1": pa.array([Decimal(amount) for _, _, amount in given], NUMBER),
        "_k0": pa.array([key for _, key, _ in given], pa.string()),
    }
    return Events(pa.table(columns), max(times, default=0))


def state() -> PartitionState:
    return PartitionState(ORDERS, METRIC)


def restored(*deltas: Delta) -> PartitionState:
    """A state from its changelog alone."""
    copy = state()
    for time, delta in enumerate(deltas):
        for key, value in delta.changelog:
            copy.apply(key, value, time)
    return copy


def fold(target: PartitionState, *given: tuple[int, str, int], now: int = FAR) -> None:
    target.fold(events(*given), range(len(given)), now)


def test_events_of_a_group_and_window_become_one_row_with_every_measure() -> None:
    s = state()
    fold(s, (0, "a", 5), (59_999, "b", 3), (60_000, "c", 9))
    rows = {row.window: row.values for row in s.take_delta(3, 0).rows}
    assert rows == {0: (2, 2, 8, 3, 5), MINUTE: (1, 1, 9, 9, 9)}


def test_a_changed_row_has_a_higher_revision_and_others_are_not_written() -> None:
    s = state()
    fold(s, (0, "a", 5), (60_000, "b", 5))
    s.take_delta(2, 0)
    fold(s, (1, "c", 5))
    [row] = s.take_delta(3, 0).rows
    assert (row.window, row.revision, row.values[0], row.is_final) == (0, 2, 2, False)


def test_an_event_sent_again_is_counted_once_also_after_a_restart() -> None:
    s = state()
    fold(s, (0, "a", 5), (0, "a", 5))
    first = s.take_delta(2, 0)
    s = restored(first)
    fold(s, (0, "a", 5), (0, "b", 5))
    [row] = s.take_delta(4, 0).rows
    assert row.values[0] == 2


def test_a_window_closes_after_its_lateness_and_its_last_row_is_final() -> None:
    s = state()
    fold(s, (0, "a", 5))
    s.take_delta(1, 0)
    fold(s, (179_999, "b", 5))
    assert not any(row.is_final for row in s.take_delta(2, 0).rows)
    fold(s, (180_000, "c", 5))
    finals = [row for row in s.take_delta(3, 0).rows if row.is_final]
    assert [(row.window, row.revision, row.values[0]) for row in finals] == [(0, 2, 1)]


def test_an_event_of_a_closed_window_is_late_and_has_its_own_row() -> None:
    s = state()
    fold(s, (180_000, "a", 5))
    s.fold(events((1, "b", 7), (180_001, "c", 1)), [41, 42], FAR)
    assert s.take_delta(43, 0).late == [LateRow(0, GROUP, (1, 1, 7, 7, 7), 41)]
    assert s.late_events == 1


def test_a_clock_that_runs_ahead_does_not_make_the_others_late() -> None:
    s = state()
    fold(s, (FAR, "ahead", 1), now=200_000)
    fold(s, (100_000, "a", 1), now=200_000)
    assert [late.window for late in s.take_delta(2, 0).late] == [FAR // MINUTE * MINUTE]
    assert s.watermark == 100_000


def test_events_of_the_future_open_no_windows_beyond_the_next_hour() -> None:
    s = state()
    fold(s, *((minute * MINUTE, f"k{minute}", 1) for minute in range(10_000)), now=0)
    assert (s.open_rows, s.late_events) == (61, 10_000 - 61)


def test_a_burst_of_long_keys_is_written_in_records_that_fit_a_message() -> None:
    s = state()
    keys = [f"{number:0200}" for number in range(20_000)]
    fold(s, *((0, key, 1) for key in keys))
    delta = s.take_delta(len(keys), 0)
    sizes = [len(value) for _, value in delta.changelog if value]
    assert sum(sizes) > 4_000_000
    assert max(sizes) <= 256 << 10
    again = restored(delta)
    fold(again, *((0, key, 1) for key in keys))
    assert again.take_delta(2 * len(keys), 0).rows == []
    fold(again, (600_000, "later", 1))
    ended = {key for key, value in again.take_delta(2 * len(keys) + 1, 0).changelog if value is None}
    assert {key for key, _ in delta.changelog if key.startswith(b'["keys"')} <= ended


def test_a_long_key_of_an_older_changelog_is_the_one_that_events_have_now() -> None:
    s = state()
    s.apply(b'["keys",0,0]', msgspec.json.encode(["k" * 500]), 0)
    fold(s, (0, short_key("k" * 500), 1))
    assert s.take_delta(1, 0).rows == []


def test_with_all_windows_closed_a_restart_reads_nothing_but_the_position() -> None:
    s = state()
    fold(s, (0, "a", 5))
    first = s.take_delta(1, now=10)
    assert s.since(now=99) == 10
    s.watermark = FAR
    second = s.take_delta(1, now=20)
    assert s.since(now=99) == 99
    copy = restored(first, second)
    assert (copy.windows, copy.position, copy.watermark, copy.open_rows) == ({}, 1, FAR, 0)


def test_a_window_that_opens_and_closes_between_commits_is_written_once() -> None:
    s = state()
    fold(s, (0, "a", 5), (180_000, "b", 5))
    delta = s.take_delta(2, 0)
    assert [(row.window, row.revision, row.is_final) for row in delta.rows if row.window == 0] == [(0, 1, True)]
    assert all(msgspec.json.decode(key)[1:2] != [0] for key, _ in delta.changelog)


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"", b"[1]"), (b"{}", b"[1]"), (b'["other",1]', b"[1]"), (b'["row",0,"north"]', b"[1,2,3]"),
     (b'["row",0,"north",7,true]', b"[1,2]"), (b'["position"]', None), (b"\xff", b"[1]")],
)  # fmt: skip
def test_a_record_that_this_metric_did_not_write_is_refused(key: bytes, value: bytes | None) -> None:
    with pytest.raises(UnknownRecord):
        state().apply(key, value, 0)


def test_the_key_of_a_row_is_its_cell_and_of_a_late_event_its_offset() -> None:
    rows = [Row(0, GROUP, (1, 1, 1, 1, 1), 1, False), Row(0, GROUP, (2, 2, 2, 1, 1), 2, True),
            Row(MINUTE, GROUP, (1, 1, 1, 1, 1), 1, True)]  # fmt: skip
    s = state()
    s.take_delta(5, 0)
    keys = [key for key, _ in rows_as_json(METRIC, 3, s, rows)]
    assert keys[0] == keys[1] != keys[2]
    value = msgspec.json.decode(next(rows_as_json(METRIC, 3, s, rows))[1])
    assert value == {"region": "north", "shop": 7, "paid": True, "window_start": 0, "shard": 3, "orders": 1,
                     "quantity": 1, "amount": 1, "smallest": 1, "largest": 1, "source_offset": 5, "late_before": 0,
                     "revision": 1, "is_final": False}  # fmt: skip
    [(key, text)] = late_as_json(METRIC, 3, [LateRow(0, GROUP, (1, 1, 1, 1, 1), 17)])
    assert (key, msgspec.json.decode(text)["source_offset"]) == (b"[3,17]", 17)


EVENTS = st.lists(st.tuples(st.integers(0, 900_000), st.sampled_from("abcdefgh"), st.integers(-50, 50)), max_size=25)


@settings(max_examples=200, deadline=None)
@given(st.lists(EVENTS, max_size=6), st.integers(0, 63))
def test_each_event_is_in_a_row_a_repeat_or_late_despite_any_restores(
    batches: list[list[tuple[int, str, int]]], restarts: int
) -> None:
    """The newest row of each cell, with the late ones, holds each event but repeats once, and its sum."""
    s, deltas, newest = state(), list[Delta](), dict[int, Row]()
    offset, late_offsets = 0, Counter[int]()
    counted: dict[int, dict[str, int]] = {}
    for number, batch in enumerate(batches):
        if restarts >> number & 1:
            s = restored(*deltas)
        if batch:
            closed = s.closed_through()
            s.fold(events(*batch), range(offset, offset + len(batch)), FAR)
            for at, (time, key, amount) in enumerate(batch):
                if time // MINUTE * MINUTE <= closed:
                    late_offsets[offset + at] += 1
                else:
                    counted.setdefault(time // MINUTE * MINUTE, {}).setdefault(key, amount)
        offset += len(batch)
        delta = s.take_delta(offset, 0)
        deltas.append(delta)
        for row in delta.rows:
            assert row.window not in newest or newest[row.window].revision < row.revision, "a revision went backwards"
            assert row.window not in newest or not newest[row.window].is_final, "a final row changed"
            newest[row.window] = row
    assert Counter(row.offset for delta in deltas for row in delta.late) == late_offsets
    assert s.late_events == sum(late_offsets.values())
    found = {window: row.values for window, row in newest.items()}
    assert found == {
        window: (len(by_key), len(by_key), sum(by_key.values()), min(by_key.values()), max(by_key.values()))
        for window, by_key in counted.items()
    }
