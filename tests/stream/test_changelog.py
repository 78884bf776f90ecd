"""State that an instance restores from the part of the changelog that still counts, compacted or not."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lake_assets.catalog.model import Asset
from stream_app.state import Delta, PartitionState, Row
from tests.stream.test_state import FAR, MINUTE, events
from tests.support.metric_examples import metric, orders

KEYED = orders()
METRIC = metric(KEYED)
KEYLESS = replace(KEYED, key=())
# Time in ms, key, amount.
Event = tuple[int, str, int]


@dataclass(frozen=True)
class Step:
    """Events of one group, what the broker compacts once they are committed, and whether the instance dies then."""

    region: str
    given: Sequence[Event]
    compacted: float = 0.0
    dies: bool = True


@dataclass
class Changelog:
    """A partition of the changelog as the broker keeps it; each transaction's records have one time."""

    records: list[tuple[bytes, bytes | None, int]] = field(default_factory=list)

    def write(self, delta: Delta, time: int) -> None:
        self.records += [(key, value, time) for key, value in delta.changelog]

    def compact(self, share: float) -> None:
        """Keep the newest record of each key in the first `share`, without the tombstones."""
        end = round(len(self.records) * share)
        newest = {key: at for at, (key, _, _) in enumerate(self.records[:end])}
        kept = [(k, v, t) for at, (k, v, t) in enumerate(self.records[:end]) if newest[k] == at and v is not None]
        self.records = kept + self.records[end:]

    def restored(self, into: PartitionState, since: int) -> PartitionState:
        for key, value, time in self.records:
            if time >= since:
                into.apply(key, value, time)
        return into


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["north", "south"]),
        st.lists(st.tuples(st.integers(0, 240_000), st.sampled_from("abcdef"), st.integers(-50, 50)), max_size=6),
        st.sampled_from([0.0, 0.5, 1.0]),
        st.booleans(),
    ),
    max_size=7,
)


@pytest.mark.parametrize("source", [KEYED, KEYLESS], ids=["keyed", "keyless"])
@settings(max_examples=150, deadline=None)
@given(STEPS)
# Compaction loses keys that were written under a number in use.
@example([Step("north", [(0, "a", 1)]), Step("north", [(1, "b", 1)], 1.0), Step("north", [(2, "a", 1), (3, "b", 1)])])
@example([Step("north", [(0, "a", 1)]), Step("north", [(1, "b", 1)]), Step("north", [(2, "c", 1)], 1.0),
          Step("north", [(3, "b", 1)])])  # fmt: skip
# A window's older rows are missed when its newer ones are where reading starts.
@example([Step("north", [(0, "a", 1)]), Step("south", [(1, "b", 1)]), Step("south", [(2, "c", 1)])])
# Its keys are older than its rows once the rows' first records are compacted away.
@example([Step("north", [(0, "a", 1)]), Step("north", [(1, "b", 1)], 1.0), Step("north", [(2, "c", 1)], 1.0),
          Step("north", [(3, "a", 1)])])  # fmt: skip
def test_what_is_restored_from_since_is_what_was_committed(source: Asset, steps: list[Step]) -> None:
    log, state = Changelog(), PartitionState(source, METRIC)
    newest: dict[tuple[int, object], Row] = {}
    counted: dict[int, dict[object, tuple[str, int]]] = {}
    offset = 0
    for now, step in enumerate(steps):
        if step.given:
            closed = state.closed_through()
            group = (step.region, 7, True)
            state.fold(events(*step.given, group=group), range(offset, offset + len(step.given)), FAR)
            for at, (time, key, amount) in enumerate(step.given, offset):
                window = time // MINUTE * MINUTE
                if window > closed:
                    counted.setdefault(window, {}).setdefault(key if source.key else at, (step.region, amount))
            offset += len(step.given)
        delta = state.take_delta(offset, now)
        log.write(delta, now)
        for row in delta.rows:
            assert (row.window, row.group) not in newest or not newest[row.window, row.group].is_final
            newest[row.window, row.group] = row
        log.compact(step.compacted)
        copy = log.restored(PartitionState(source, METRIC), state.since(now))
        for fact in ("windows", "position", "watermark", "late_events"):
            assert getattr(copy, fact) == getattr(state, fact), fact
        if step.dies:
            state = copy
    amounts: dict[tuple[int, object], list[int]] = {}
    for window, by_key in counted.items():
        for region, amount in by_key.values():
            amounts.setdefault((window, (region, 7, True)), []).append(amount)
    assert {cell: row.values for cell, row in newest.items()} == {
        cell: (len(of), len(of), sum(of), min(of), max(of)) for cell, of in amounts.items()
    }
