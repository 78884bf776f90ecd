"""A window without raw rows: quarantined payloads are judged again and join the good rows that are there."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake_assets.catalog.model import Asset, Field, FieldType
from lake_assets.catalog.window_results import WindowInput, WindowOutput
from lake_assets.compile.ddl import QUARANTINE, create_table, staging_columns
from lake_assets.compile.sql import identifier
from lake_assets.conform.duckdb import conform
from lake_assets.conform.rebuild_without_raw import Kept, conform_kept, good_columns
from lake_assets.errors import LakeError
from tests.conform.conftest import rows_of
from tests.support.conform_records import NOON, ORDERS, Record, write_raw

WINDOW = "2026-01-01"
STRICT = replace(ORDERS, version="1.0.0")
Made = tuple[WindowOutput, list[dict[str, Any]], list[dict[str, Any]]]


def order(order_id: object, minute: int = 0, **fields: object) -> bytes:
    at = (NOON + timedelta(minutes=minute)).isoformat()
    return json.dumps({"order_id": order_id, "ordered_at": at, **fields}).encode()


def wider(asset: Asset, **changes: Any) -> Asset:
    """The asset with one field's rules changed, as version 1.1.0."""
    name = changes.pop("name")
    fields = tuple(replace(field, **changes) if field.name == name else field for field in asset.fields)
    return replace(asset, version="1.1.0", fields=fields)


def from_raw(folder: Path, asset: Asset, records: Sequence[Record]) -> Made:
    write_raw(folder / "raw.parquet", records)
    windows = [WindowInput(WINDOW, (str(folder / "raw.parquet"),), len(records), 5)]
    (output,) = conform(asset, windows, f"file://{folder}/out", folder, "run-1", uuid4().hex)
    return read(output)


def from_kept(folder: Path, asset: Asset, made: Made) -> Made:
    output = made[0]
    good = as_read(asset, output.good_files, good_columns(asset))
    bad = as_read(None, output.quarantine_files, tuple(column.name for column in QUARANTINE))
    kept = Kept(WINDOW, good, bad, output.partitions, output.bytes)
    return read(conform_kept(asset, kept, f"file://{folder}/out", folder, "run-2", uuid4().hex))


def as_read(asset: Asset | None, files: Sequence[str], columns: Sequence[str]) -> pa.Table:
    """The files' rows with the columns that the table has by now."""
    with duckdb.connect() as session:
        session.execute("set timezone = 'UTC'")
        session.execute(create_table("rows", staging_columns(asset) if asset else QUARANTINE))
        for file in files:
            session.execute(f"insert into rows by name from read_parquet('{file}')")
        return session.execute(f"select {', '.join(map(identifier, columns))} from rows").to_arrow_table()


def read(output: WindowOutput) -> Made:
    return (
        output,
        rows_of(list(output.good_files), "_kafka_partition, _offset"),
        rows_of(list(output.quarantine_files), 'partition, "offset"'),
    )


def numbers(output: WindowOutput) -> tuple[int, int, int, int]:
    return output.raw_rows, output.good, output.quarantined, output.duplicates


def test_a_payload_that_passes_now_joins_the_rows_that_were_good(tmp_path: Path) -> None:
    made = from_raw(tmp_path, STRICT, [Record(order("a")), Record(order("b", region="mars")), Record(b"{bad")])
    output, good, bad = from_kept(tmp_path, wider(STRICT, name="region", enum=("north", "mars")), made)
    assert numbers(output) == (3, 2, 1, 0)
    assert [(row["order_id"], row["_contract_version"]) for row in good] == [("a", "1.0.0"), ("b", "1.1.0")]
    assert [row["_loaded_at"] == made[1][0]["_loaded_at"] for row in good] == [True, False]
    assert [row["payload"] for row in bad] == [b"{bad"]


@pytest.mark.parametrize(("minute", "stays"), [(5, 1), (-5, 0)], ids=["later", "earlier"])
def test_the_latest_event_of_a_key_stays_even_when_it_was_quarantined(tmp_path: Path, minute: int, stays: int) -> None:
    made = from_raw(tmp_path, STRICT, [Record(order("a")), Record(order("a", minute, region="mars"))])
    output, good, bad = from_kept(tmp_path, wider(STRICT, name="region", enum=("mars",)), made)
    assert ([row["_offset"] for row in good], bad) == ([stays], [])
    assert numbers(output) == (2, 1, 0, 1)


def test_duplicates_that_were_dropped_before_stay_counted(tmp_path: Path) -> None:
    records = [Record(order("a"), offset=7), Record(order("a"), offset=7), Record(order("a", 1), offset=8)]
    made = from_raw(tmp_path, STRICT, [*records, Record(b"{bad", offset=9)])
    (before,) = made[0].partitions
    output, _, _ = from_kept(tmp_path, STRICT, made)
    assert output.partitions == (before,)
    assert (before.raw, before.duplicates, before.redelivered) == (4, 2, 1)


def test_a_new_field_is_read_from_quarantine_and_null_in_published_rows(tmp_path: Path) -> None:
    made = from_raw(tmp_path, STRICT, [Record(order("a", note="x")), Record(order("b", region="mars", note="y"))])
    more = wider(STRICT, name="region", enum=())
    more = replace(more, fields=(*more.fields, Field("note", FieldType("string"))))
    _, good, _ = from_kept(tmp_path, more, made)
    assert [(row["note"], row["_extra"]) for row in good] == [(None, '{"note":"x"}'), ("y", None)]


def test_rows_that_are_not_those_of_the_ledger_are_refused(tmp_path: Path) -> None:
    made = from_raw(tmp_path, STRICT, [Record(order("a")), Record(b"{bad")])
    lost = replace(made[0], good_files=())
    with pytest.raises(LakeError, match=r"its raw rows are deleted, .* has 2 rows but 1 were conformed"):
        from_kept(tmp_path, STRICT, (lost, [], []))


def test_an_entrypoint_needs_the_whole_window_and_is_refused_without(tmp_path: Path) -> None:
    made = from_raw(tmp_path, STRICT, [Record(b"{bad")])
    with pytest.raises(LakeError, match="the entrypoint mine:transform needs those of the whole window"):
        from_kept(tmp_path, replace(STRICT, entrypoint="mine:transform"), made)


REGIONS, QUANTITIES = ["north", "south", "mars", None, 7], [1, 10, 11, 50, "many", None]
EVENTS = st.builds(
    lambda number, minute, region, quantity: order(number, minute, region=region, quantity=quantity),
    st.sampled_from(["a", "b", "c", None, "much-too-long"]),
    st.integers(0, 3),
    st.sampled_from(REGIONS),
    st.sampled_from(QUANTITIES),
)
CONTRACTS: list[Callable[[Asset], Asset]] = [
    lambda asset: asset,
    lambda asset: wider(asset, name="region", enum=()),
    lambda asset: wider(asset, name="region", enum=("north", "south", "mars")),
    lambda asset: wider(asset, name="quantity", maximum=None),
    lambda asset: wider(asset, name="order_id", max_length=None),
    lambda asset: wider(wider(asset, name="quantity", maximum=None), name="region", enum=()),
]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    payloads=st.lists(st.one_of(EVENTS, st.sampled_from([None, b"", b"{bad", b"\xff", b"[]"])), max_size=12),
    repeated=st.integers(0, 3),
    change=st.sampled_from(CONTRACTS),
)
def test_kept_rows_give_the_same_window_as_raw_each_time(
    tmp_path: Path, payloads: list[bytes | None], repeated: int, change: Callable[[Asset], Asset]
) -> None:
    """The contracts are all those that only allow more: an additive change of rules."""
    records = [Record(payload, partition=n % 2, offset=n) for n, payload in enumerate(payloads)]
    records += records[:repeated]
    before = from_raw(tmp_path, STRICT, records)
    asset = change(STRICT)
    wanted, once = from_raw(tmp_path, asset, records), from_kept(tmp_path, asset, before)
    twice = from_kept(tmp_path, asset, once)
    for made in (once, twice):
        assert numbers(made[0]) == numbers(wanted[0])
        assert made[0].partitions == wanted[0].partitions
        for mine, theirs in ((made[1], wanted[1]), (made[2], wanted[2])):
            assert [same(row) for row in mine] == [same(row) for row in theirs]
    assert [row["_loaded_at"] for row in twice[1]] == [row["_loaded_at"] for row in once[1]]


def same(row: dict[str, Any]) -> dict[str, Any]:
    """Return the columns in which two builds of one row must be equal."""
    own = ("_loaded_at", "_contract_version", "contract_version", "run_id", "first_seen")
    return {name: value for name, value in row.items() if name not in own}
