"""A window as a whole: duplicates, balance, checks, lineage, and the same result every time."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake_assets.catalog.model import Check
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.duckdb import conform, conform_apart
from lake_assets.conform.isolate import IsolationTime
from lake_assets.errors import LakeError
from tests.conform.conftest import Conform, on_both_engines
from tests.support.conform_records import NOON, ORDERS, Record, write_raw


def order(order_id: str, at: datetime = NOON, **fields: object) -> bytes:
    return json.dumps({"order_id": order_id, "ordered_at": at.isoformat(), **fields}).encode()


@on_both_engines
def test_the_latest_of_equal_keys_stays_and_the_others_are_counted(conform_records: Conform) -> None:
    later = NOON + timedelta(minutes=1)
    result = conform_records(
        [Record(order("a", quantity=1)), Record(order("a", later, quantity=2)), Record(order("a", quantity=3))]
    )
    assert [(row["order_id"], row["quantity"]) for row in result.good] == [("a", 2)]
    assert result.outputs[0].duplicates == 2


@on_both_engines
def test_of_equal_event_times_the_higher_offset_wins(conform_records: Conform) -> None:
    result = conform_records([order("a", quantity=1), order("a", quantity=2)])
    assert [row["quantity"] for row in result.good] == [2]


@on_both_engines
def test_a_record_delivered_twice_is_counted_as_redelivered(conform_records: Conform) -> None:
    result = conform_records([Record(order("a"), offset=7), Record(order("a"), offset=7), Record(b"{bad", offset=8)])
    (count,) = result.outputs[0].partitions
    assert (count.raw, count.good, count.quarantined, count.duplicates, count.redelivered) == (3, 1, 1, 1, 1)
    assert (count.min_offset, count.max_offset) == (7, 8)


def test_a_bad_row_is_no_duplicate_of_a_good_one(conform_records: Conform) -> None:
    result = conform_records([order("a"), order("a", NOON + timedelta(hours=1), quantity=99)])
    assert (result.outputs[0].good, result.outputs[0].quarantined, result.outputs[0].duplicates) == (1, 1, 0)


@on_both_engines
def test_equal_keys_in_different_windows_are_both_kept(conform_records: Conform) -> None:
    tomorrow = NOON + timedelta(days=1)
    result = conform_records(
        {"2026-01-01": [Record(order("a"))], "2026-01-02": [Record(order("a", tomorrow), timestamp=tomorrow, offset=1)]}
    )
    assert [output.good for output in result.outputs] == [1, 1]


def test_without_a_key_only_redelivered_rows_are_duplicates(conform_records: Conform) -> None:
    result = conform_records([order("a"), order("a"), Record(order("b"), offset=1)], replace(ORDERS, key=()))
    assert (result.outputs[0].good, result.outputs[0].duplicates) == (2, 1)


@on_both_engines
def test_every_row_carries_where_it_came_from(conform_records: Conform) -> None:
    result = conform_records([Record(order("a"), partition=3, offset=41)])
    row = result.good[0]
    assert (row["_kafka_partition"], row["_offset"], row["_contract_version"]) == (3, 41, "1.2.0")
    assert row["_window"] == datetime(2026, 1, 1, tzinfo=UTC)
    assert row["_event_at"] == NOON


@on_both_engines
def test_a_quarantined_row_keeps_its_key_and_its_run(conform_records: Conform) -> None:
    row = conform_records([Record(b"{bad", partition=2, offset=5, key=b"\xff\x00")]).quarantined[0]
    assert (row["asset"], row["topic"], row["partition"], row["offset"]) == ("orders", "shop.orders", 2, 5)
    assert (row["key"], row["run_id"], row["contract_version"]) == (b"\xff\x00", "run-1", "1.2.0")


@on_both_engines
def test_a_record_without_a_timestamp_is_in_the_window_of_time_zero(conform_records: Conform) -> None:
    result = conform_records({"1970-01-01": [Record(order("a"), timestamp=None)]})
    assert (result.outputs[0].good, result.good[0]["_window"]) == (1, datetime(1970, 1, 1, tzinfo=UTC))


def test_hourly_windows_are_cut_by_the_hour(conform_records: Conform) -> None:
    result = conform_records({"2026-01-01-12:00": [Record(order("a"))]}, replace(ORDERS, window="hour"))
    assert result.good[0]["_window"] == NOON
    assert result.outputs[0].good == 1


def test_a_failed_blocking_check_is_named_and_a_warning_is_not(conform_records: Conform) -> None:
    checks = (
        Check("few_rows", "select count(*) from conformed", "<", (Decimal(1),)),
        Check("no_gifts", "select count(*) from conformed where gift", "=", (Decimal(1),), blocking=False),
    )
    output = conform_records([order("a")], replace(ORDERS, checks=checks)).outputs[0]
    assert output.blocked_by == ("few_rows",)
    assert [(check.name, check.value, check.passed) for check in output.checks] == [
        ("few_rows", Decimal(1), False),
        ("no_gifts", Decimal(0), False),
    ]


@on_both_engines
def test_checks_see_the_good_rows_of_their_own_window_only(conform_records: Conform) -> None:
    check = Check("rows", "select count(*) from conformed", "=", (Decimal(1),))
    tomorrow = NOON + timedelta(days=1)
    result = conform_records(
        {
            "2026-01-01": [order("a"), b"{bad"],
            "2026-01-02": [
                Record(order("b", tomorrow), 1, 0, tomorrow),
                Record(order("c", tomorrow), 1, 1, tomorrow),
            ],
        },
        replace(ORDERS, checks=(check,)),
    )
    assert [output.blocked_by for output in result.outputs] == [(), ("rows",)]


def test_a_check_on_a_window_without_good_rows_counts_none(conform_records: Conform) -> None:
    check = Check("rows", "select count(*) from conformed", "=", (Decimal(0),))
    assert conform_records([b"{bad"], replace(ORDERS, checks=(check,))).outputs[0].blocked_by == ()


def test_a_window_whose_raw_rows_are_not_all_there_is_refused(tmp_path: Path) -> None:
    write_raw(tmp_path / "raw.parquet", [Record(order("a"))])
    short = WindowInput("2026-01-01", (str(tmp_path / "raw.parquet"),), 2, 1)
    with pytest.raises(LakeError, match="the snapshot has 2 rows but 1 were conformed"):
        conform(ORDERS, [short], f"file://{tmp_path}/out", tmp_path, "run-1", "file")


@pytest.mark.fault("a damaged raw file", "its window is held back and named, the others go on")
def test_a_damaged_file_holds_back_its_own_window_only(tmp_path: Path) -> None:
    inputs: list[WindowInput] = []
    for day in (1, 2, 3):
        path = tmp_path / f"{day}.parquet"
        write_raw(path, [Record(order("a"), timestamp=datetime(2026, 1, day, tzinfo=UTC))])
        inputs.append(WindowInput(f"2026-01-0{day}", (str(path),), 1, path.stat().st_size))
    damaged = tmp_path / "2.parquet"
    damaged.write_bytes(damaged.read_bytes()[:100])
    outputs, failed = conform_apart(
        ORDERS, inputs, f"file://{tmp_path}/out", tmp_path, "run-1", "file", isolation_time=IsolationTime()
    )
    assert [(output.window, output.good) for output in outputs] == [("2026-01-01", 1), ("2026-01-03", 1)]
    assert list(failed) == ["2026-01-02"]
    assert "2.parquet" in failed["2026-01-02"].sentence
    assert failed["2026-01-02"].curable


@on_both_engines
def test_a_check_whose_query_cannot_run_is_one_sentence(conform_records: Conform) -> None:
    check = Check("broken", "select nothing from conformed", "=", (Decimal(0),))
    with pytest.raises(LakeError, match="the query of check 'broken' cannot run"):
        conform_records([order("a")], replace(ORDERS, checks=(check,)))


HOSTILE = st.one_of(
    st.none(),
    st.binary(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode()),
    st.dictionaries(
        st.sampled_from([field.name for field in ORDERS.fields]),
        st.one_of(
            st.none(),
            st.integers(),
            st.floats(),
            st.text(max_size=12),
            st.datetimes().map(datetime.isoformat),
            st.decimals(allow_nan=True).map(str),
        ),
    ).map(lambda fields: json.dumps({"order_id": "k", "ordered_at": "2026-01-01T00:00:00Z", **fields}).encode()),
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(HOSTILE, min_size=1, max_size=20))
def test_whatever_arrives_every_row_is_good_quarantined_or_a_duplicate(
    conform_records: Conform, payloads: list[bytes | None]
) -> None:
    result = conform_records(payloads)
    (output,) = result.outputs
    assert output.imbalance() is None
    assert output.good == len(result.good)
    assert output.quarantined == len(result.quarantined)
    assert all(row["errors"] for row in result.quarantined)
    assert [row["payload"] for row in result.quarantined] == [payloads[row["offset"]] for row in result.quarantined]
    again = conform_records(payloads)
    untimed = [{k: v for k, v in row.items() if k != "_loaded_at"} for row in result.good]
    assert untimed == [{k: v for k, v in row.items() if k != "_loaded_at"} for row in again.good]
