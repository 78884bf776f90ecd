"""The quick reader takes nothing that the contract's own rules refuse, and reads the same values as they do."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream_app.columns import Columns
from stream_app.fast import FastReader, is_quick
from stream_app.judge import Judge
from tests.stream.examples import CONTRACT, METRIC, Record, metric, orders

ASSET = orders()
METRICS = metric(ASSET)
READER, JUDGE = FastReader(ASSET, METRICS), Judge(ASSET, METRICS)
GOOD = {"order_id": "o1", "region": "north", "Shop No": 7, "paid": True, "quantity": 2, "amount": "12.50",
        "ordered_at": "2026-03-01T10:15:30Z"}  # fmt: skip


def payload(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode()


def rows(parts: Sequence[Columns]) -> dict[int, tuple[Any, ...]]:
    """What was read of each position."""
    return {
        position: (
            part.groups[at],
            part.windows[at],
            [column[at] for column in part.values],
            part.keys and part.keys[at],
        )
        for part in parts
        for at, position in enumerate(part.positions)
    }


def agree(payloads: Sequence[bytes | None]) -> tuple[set[int], set[int]]:
    """Holds both ways of judging against each other; the positions that the quick one took, and that are good."""
    parts, suspects = READER.read(payloads)
    quick = rows(parts)
    columns, refused = JUDGE.judge([Record(p) for p in payloads], range(len(payloads)))
    judged = rows([columns])
    assert quick.keys() | set(suspects) == set(range(len(payloads)))
    assert quick.keys().isdisjoint(suspects)
    assert judged.keys() | {r.position for r in refused} == set(range(len(payloads)))
    for position, row in quick.items():
        assert judged.get(position) == row, payloads[position]
    return set(quick), set(judged)


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=14),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
DECIMALS = st.one_of(
    st.decimals(allow_nan=True, allow_infinity=True, places=2).map(str),
    st.from_regex(r"\A[-+]?[0-9]{1,14}(\.[0-9]{0,5})?(e[0-9])?\Z").map(str),
    st.floats(0, 1e12),
    st.integers(-(10**11), 10**18),
)
TIMES = st.one_of(
    st.datetimes().map(lambda t: t.isoformat() + "Z"),
    st.datetimes().map(lambda t: t.isoformat() + "+00:00"),
    st.from_regex(
        r"\A[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
        r"(\.[0-9]{1,9})?(Z|[+-]0[0-9](:[03]0)?)?\Z"
    ),
)  # fmt: skip
FIELDS = {
    "order_id": st.text(max_size=14), "region": st.sampled_from(["north", "south", "North", ""]),
    "Shop No": st.integers(-(2**63) - 2, 2**63 + 2) | st.floats(), "paid": st.sampled_from([True, False, "true", 1]),
    "quantity": st.integers(-2, 1005) | st.floats(-1, 5), "amount": DECIMALS, "discount": DECIMALS,
    "weight": st.floats() | st.integers(0, 2000), "due": st.dates().map(str) | st.text(max_size=10), "note": JSONS,
    "customer": JSONS, "ordered_at": TIMES,
}  # fmt: skip


@st.composite
def hostile(draw: st.DrawFn) -> bytes | None:
    """Mostly a good event with a few fields of another mind; at times not even that."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.none() | st.binary(max_size=20) | JSONS.map(lambda value: json.dumps(value).encode()))
    event: dict[str, Any] = dict(GOOD)
    for name in draw(st.lists(st.sampled_from(list(FIELDS)), max_size=3)):
        event[name] = draw(FIELDS[name] if draw(st.integers(0, 3)) else JSONS)
    for name in draw(st.lists(st.sampled_from(list(GOOD)), max_size=1)) if draw(st.integers(0, 9)) == 0 else []:
        event.pop(name, None)
    text = json.dumps(event, ensure_ascii=draw(st.booleans()))
    encoded = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 9)) == 0:
        place = draw(st.integers(0, len(encoded)))
        encoded = encoded[:place] + draw(st.binary(min_size=1, max_size=2)) + encoded[place:]
    return encoded


@settings(max_examples=150, deadline=None)
@given(st.lists(hostile(), min_size=1, max_size=12))
@example([payload(weight=1e400)])
@example([payload(note="\x00")])
@example([payload(due="2026-W09-1")])
@example([payload(due="20260301")])
@example([payload(ordered_at="2026-03-01T24:00:00Z")])
@example([payload(ordered_at="2026-03-01T23:59:60Z")])
@example([payload(ordered_at="2026-02-30T10:00:00Z")])
@example([payload(amount=0.1 + 0.2)])
@example([payload(amount=1234567890.12)])
def test_what_the_quick_reader_takes_the_rules_take_with_the_same_values(payloads: list[bytes | None]) -> None:
    agree(payloads)


@pytest.mark.parametrize(
    "changes",
    [{}, {"amount": 12.5}, {"amount": "12"}, {"amount": 3}, {"discount": "0.125"}, {"discount": None}, {"note": 5},
     {"ordered_at": "2026-03-01T10:15:30.123456Z"}, {"ordered_at": "2026-03-01T10:15:30+00:00"}, {"weight": 7},
     {"due": "2026-02-28"}, {"customer": {"a": [1, {"b": None}]}}, {"unknown": 1}],
)  # fmt: skip
def test_everyday_events_take_the_quick_way(changes: dict[str, Any]) -> None:
    """Else the property above would hold for a reader that takes nothing."""
    assert agree([payload(**changes)]) == ({0}, {0})


def test_one_broken_record_leaves_all_others_on_the_quick_way() -> None:
    payloads = [payload(order_id=f"o{n}") for n in range(300)]
    payloads[123] = b'{"order_id": "o123"'
    assert agree(payloads) == (set(range(300)) - {123}, set(range(300)) - {123})


def test_broken_payloads_that_together_are_valid_json_are_each_found() -> None:
    """A comma between payloads would make one event of the first two, and two of the third: as many as were sent."""
    whole = payload(customer=[1, 2]).decode()
    first, second = whole.split("[1, 2]")
    broken = [(first + '[{}').encode(), b"{}]" + second.encode(), payload() + b"," + payload()]  # fmt: skip
    assert len(json.loads(b"[" + b",".join(broken) + b"]")) == len(broken)
    assert agree([*broken, payload(order_id="o9")]) == ({3}, {3})


def test_a_payload_that_is_only_a_word_is_no_event() -> None:
    assert agree([b'"north"', payload()]) == ({1}, {1})


def test_filters_leave_out_events_on_both_ways() -> None:
    asset = orders()
    chosen = metric(asset, METRIC + "filter:\n  - {field: region, in: [south]}\n  - {field: paid, in: [true]}\n")
    payloads = [payload(), payload(region="south"), payload(region="south", paid=False)]
    parts, suspects = FastReader(asset, chosen).read(payloads)
    judged, refused = Judge(asset, chosen).judge([Record(p) for p in payloads], range(3))
    assert rows(parts).keys() == rows([judged]).keys() == {1}
    assert (suspects, refused) == ([], [])


def test_a_transform_may_change_or_leave_out_events_and_one_that_fails_refuses_only_its_own() -> None:
    asset = orders()
    chosen = metric(asset, METRIC + "transform: tests.stream.transforms:only_large\n")
    assert not is_quick(asset, chosen)
    payloads = [payload(quantity=n) for n in (1, 7, 13)]
    judged, refused = Judge(asset, chosen).judge([Record(p) for p in payloads], range(3))
    assert {at: row[2][0] for at, row in rows([judged]).items()} == {1: 70}
    assert [(r.position, r.codes) for r in refused] == [(2, ("transform",))]


@pytest.mark.parametrize("rule", ["pattern: '[a-z]+'", "maxLength: 3, pattern: 'o.'"])
def test_contracts_with_patterns_are_judged_by_the_rules_alone(rule: str) -> None:
    asset = orders(CONTRACT.replace("minLength: 1, maxLength: 12", rule))
    assert not is_quick(asset, metric(asset))


def test_the_readers_know_words_of_python_as_field_names() -> None:
    asset = orders(CONTRACT.replace("name: shop,", "name: lambda_, ").replace("order_id", "class"))
    chosen = metric(asset, METRIC.replace("shop, ", ""))
    parts, suspects = FastReader(asset, chosen).read([payload().replace(b"order_id", b"class")])
    assert (len(parts[0].positions), suspects) == (1, [])
