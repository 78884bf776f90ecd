"""The judge of the stream takes what the contract's rules take, and names the broken rule of everything else."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.compile.topic import MAX_RECORD_BYTES
from stream_app.events import events_of, hidden_key, short_key
from stream_app.loop import _KEPT_BYTES, kept_parts
from stream_app.state import PartitionState
from stream_app.validate import Judge, Judged
from tests.support.metric_examples import CONTRACT, METRIC, metric, orders

ASSET = orders()
METRICS = metric(ASSET)
JUDGE = Judge(ASSET, METRICS)
GOOD = {"order_id": "o1", "region": "north", "Shop No": 7, "paid": True, "quantity": 2, "amount": "12.50",
        "ordered_at": "2026-03-01T10:15:30.250Z"}  # fmt: skip
TIME = int(datetime(2026, 3, 1, 10, 15, 30, 250_000, UTC).timestamp() * 1000)


def payload(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def rows(judged: Judged) -> dict[int, dict[str, Any]]:
    """Return the values of each good record, by its position."""
    return {row.pop("_position"): row for row in judged.good.to_pylist()}


def counted(judged: Judged) -> set[int]:
    return {position for position, row in rows(judged).items() if row["_counted"]}


def codes(judged: Judged) -> dict[int, tuple[str, ...]]:
    return {record.position: record.codes for record in judged.refused}


def test_an_event_has_its_window_groups_whole_numbers_and_key() -> None:
    assert rows(JUDGE.judge([payload()])) == {
        0: {"_time": TIME, "_window": TIME // 60_000 * 60_000, "_counted": True, "_g0": "north", "_g1": 7, "_g2": True,
            "_v0": 2, "_v1": 1250, "_k0": "o1"}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "read"),
    [("12.50", 1250), (12.5, 1250), (12, 1200), ("0.1", 10), (0.1, 10), ("9999999999.99", 999_999_999_999)],
)
def test_money_is_exact_however_it_is_written(given: object, read: int) -> None:
    [row] = rows(JUDGE.judge([payload(amount=given)])).values()
    assert row["_v1"] == read


def test_each_batch_is_judged_and_not_one_before_it() -> None:
    """Regression guard: the statement is prepared once, its input is another each time."""
    for number in range(3):
        judged = JUDGE.judge([payload(quantity=number + 1), *[payload()] * number])
        assert rows(judged)[0]["_v0"] == number + 1
        assert len(judged.good) == number + 1
    assert len(JUDGE.judge([]).good) == 0


def test_windows_before_1970_start_before_their_events() -> None:
    asset = orders(CONTRACT)
    [row] = rows(Judge(asset, metric(asset)).judge([payload(ordered_at="1969-12-31T23:59:30Z")])).values()
    assert (row["_time"], row["_window"]) == (-30_000, -60_000)


def test_broken_records_are_refused_each_by_itself_with_their_codes() -> None:
    """The records include those that would be valid JSON together."""
    whole = payload(customer=[1, 2]).decode()
    first, second = whole.split("[1, 2]")
    batch = [payload(), (first + "[{}").encode(), b"{}]" + second.encode(), payload() + b"," + payload(), None, b"",
             b"\xff", b"7", payload(region="east"), payload(quantity="two", amount="x"), payload()]  # fmt: skip
    judged = JUDGE.judge(batch)
    assert counted(judged) == {0, 10}
    assert codes(judged) == {
        1: ("not_json",), 2: ("not_json",), 3: ("not_json",), 4: ("null_payload",), 5: ("empty_payload",),
        6: ("invalid_utf8",), 7: ("not_an_object",), 8: ("enum",), 9: ("type",),
    }  # fmt: skip


def test_filters_leave_out_events_but_time_passes_with_them() -> None:
    chosen = metric(ASSET, METRIC + "filter:\n  - {field: region, in: [south]}\n  - {field: paid, in: [true]}\n")
    judged = Judge(ASSET, chosen).judge([payload(), payload(region="south"), payload(region="south", paid=False)])
    assert (counted(judged), set(rows(judged)), judged.refused) == ({1}, {0, 1, 2}, [])


def test_a_transform_may_change_or_drop_events_and_fails_only_its_own() -> None:
    chosen = metric(ASSET, METRIC + "transform: tests.support.metric_transforms:only_large\n")
    judged = Judge(ASSET, chosen).judge([payload(quantity=n) for n in (1, 7, 13, 14, 15, 16, 17)])
    assert {at: row["_v0"] for at, row in rows(judged).items() if row["_counted"]} == {1: 70, 6: 170}
    assert codes(judged) == dict.fromkeys((2, 3, 4, 5), ("transform",))


def test_keys_are_as_the_changelog_gives_them_back() -> None:
    """Regression: a key that is a date was restored as text, and repeats were counted after a restart."""
    text = CONTRACT.replace(", primaryKey: true", "")
    text = text.replace("logicalType: date}", "logicalType: date, required: true, primaryKey: true}")
    asset = orders(text)
    judged = Judge(asset, metric(asset)).judge([payload(due="2026-03-01")])
    assert [row["_k0"] for row in rows(judged).values()] == ["2026-03-01"]


def test_names_of_a_contract_may_be_those_of_ours() -> None:
    text = CONTRACT.replace("name: shop,", "name: codes, ").replace("order_id", "position").replace("region", "g1")
    asset = orders(text)
    for more in ("", "transform: tests.support.metric_transforms:only_large\n"):
        chosen = metric(asset, METRIC.replace("shop", "codes").replace("[region", "[g1") + more)
        [row] = rows(Judge(asset, chosen).judge([payload(position="p1", g1="south", quantity=7)])).values()
        assert (row["_g0"], row["_g1"], row["_k0"]) == ("south", 7, "p1")


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=14),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def hostile(draw: st.DrawFn) -> bytes | None:
    """Draw mostly a good event with a few changed fields; sometimes not even that."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.none() | st.binary(max_size=20) | JSONS.map(lambda value: json.dumps(value).encode()))
    event: dict[str, Any] = dict(GOOD)
    for name in draw(st.lists(st.sampled_from([*GOOD, "discount", "weight", "note", "due"]), max_size=3)):
        event[name] = draw(JSONS)
    encoded = json.dumps(event, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(encoded)))
        encoded = encoded[:place] + draw(st.binary(min_size=1, max_size=2)) + encoded[place:]
    return encoded


@settings(max_examples=50, deadline=None)
@given(st.lists(hostile(), max_size=12))
def test_every_record_is_good_or_refused_and_neighbours_change_nothing(payloads: Sequence[bytes | None]) -> None:
    together = JUDGE.judge(payloads)
    assert sorted([*rows(together), *codes(together)]) == list(range(len(payloads)))
    for position, alone in enumerate(payloads):
        judged = JUDGE.judge([alone])
        assert rows(judged).get(0) == rows(together).get(position)
        assert codes(judged).get(0) == codes(together).get(position)


def test_groups_that_no_index_takes_are_refused_and_their_batch_is_not() -> None:
    contract = CONTRACT.replace(
        ", quality: [{metric: invalidValues, arguments: {validValues: [north, south]}, mustBe: 0}]", ""
    )
    asset = orders(contract)
    judged = Judge(asset, metric(asset)).judge([payload(region="ü" * 1_001), payload(region="ü" * 1_000)])
    assert codes(judged) == {0: ("long_group",)}
    assert rows(judged)[1]["_g0"] == "ü" * 1_000


def test_a_key_of_megabytes_is_known_by_its_hash() -> None:
    asset = orders(CONTRACT.replace(", logicalTypeOptions: {minLength: 1, maxLength: 12}", ""))
    judged = Judge(asset, metric(asset)).judge(
        [payload(order_id=key) for key in ("x" * 3_000_000, "ü" * 100, "ü" * 101)]
    )
    assert [row["_k0"] for row in rows(judged).values()] == [
        short_key("x" * 3_000_000), "ü" * 100, short_key("ü" * 101),
    ]  # fmt: skip
    assert max(len(row["_k0"].encode()) for row in rows(judged).values()) == 200


def test_refused_events_of_a_protected_asset_are_kept_without_their_parts() -> None:
    large = b"x" * (_KEPT_BYTES + 1)
    assert kept_parts(ASSET, b"k", b"marked") == (b"k", b"marked", [])
    assert kept_parts(ASSET, b"k", large) == (b"k", None, [("bytes of value", str(len(large)).encode())])
    protection = "customProperties:\n  - {property: protection, value: {drop: [note]}}\n"
    protected = orders(CONTRACT.replace("customProperties:\n", protection))
    classified = replace(ASSET, fields=(replace(ASSET.fields[0], classification="personal"), *ASSET.fields[1:]))
    for asset in (protected, classified):
        assert kept_parts(asset, b"marked", b"marked") == (None, None, [])


@pytest.mark.parametrize("value", [0, 1, 512 << 10, 1 << 20, 4 << 20, MAX_RECORD_BYTES])
@pytest.mark.parametrize("key", [0, 1, 512 << 10, 1 << 20, 4 << 20, MAX_RECORD_BYTES])
def test_what_is_kept_of_a_refused_event_fits_in_one_record(key: int, value: int) -> None:
    kept_key, kept_value, sizes = kept_parts(ASSET, b"k" * key, b"v" * value)
    # Its headers need some room too.
    assert len(kept_key or b"") + len(kept_value or b"") < MAX_RECORD_BYTES - 4096
    dropped = {name: int(size) for name, size in sizes}
    assert len(kept_key or b"") == key or dropped["bytes of key"] == key
    assert len(kept_value or b"") == value or dropped["bytes of value"] == value


@pytest.mark.parametrize("kind", ["order_id", "shop"])
def test_a_confidential_key_is_known_by_its_hash(kind: str) -> None:
    """The changelog is included, whose records of earlier versions have the key in plain text."""
    contract = CONTRACT.replace("primaryKey: true, ", "")
    contract = contract.replace(f"{{name: {kind}, ", f"{{name: {kind}, primaryKey: true, classification: personal, ")
    asset = orders(contract)
    regions = metric(asset, METRIC.replace("[region, shop, paid]", "[region]"))
    judged = Judge(asset, regions).judge([payload(order_id="marked-7")])
    plain = {"order_id": "marked-7", "shop": 7}[kind]
    assert rows(judged)[0]["_k0"] == hidden_key(plain)
    state = PartitionState(asset, regions)
    state.fold(events_of(judged.good), range(1), 10**15)
    changelog = [record for record in state.take_delta(1, 1).changelog if record[0].startswith(b'["keys"')]
    assert len(changelog) == 1
    assert b"marked" not in changelog[0][1]
    for stored in (plain, hidden_key(plain)):
        restored = PartitionState(asset, regions)
        restored.apply(changelog[0][0], json.dumps([stored]).encode(), 1)
        restored.fold(events_of(judged.good), range(1), 10**15)
        assert not restored.windows, "it was counted before"


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"note": "a\0b"}, "type"), ({"note": "\\u0000"}, None), ({"ordered_at": "2026-03-01 (BC) 10:00:00"}, "range"),
     ({"ordered_at": "0000-12-31T23:59:59Z"}, "range"), ({"ordered_at": "9999-12-31T23:59:59-00:01"}, "range"),
     ({"ordered_at": "0001-01-01T00:00:00Z"}, None), ({"due": "0000-12-31"}, "range"), ({"Unknown": "a\0b"}, None)],
)  # fmt: skip
def test_what_a_table_cannot_hold_is_refused_by_its_rule(changes: dict[str, Any], code: str | None) -> None:
    assert codes(JUDGE.judge([payload(**changes), payload()])) == ({0: (code,)} if code else {})
