"""Position that is committed with an input offset, and the start of a metric after it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from lake_assets.catalog.metric import Metric
from stream_app.checkpoint import Checkpoint, fingerprint_of, read_checkpoint
from stream_app.errors import Refusal
from tests.support.metric_examples import metric, orders

METRIC = metric(orders())
POSITION = Checkpoint(41, 1_000, -5, True, fingerprint_of(METRIC))


def test_a_position_is_read_as_it_was_committed() -> None:
    assert read_checkpoint(METRIC, 41, POSITION.metadata()) == POSITION


def test_a_group_that_never_committed_has_no_position() -> None:
    assert read_checkpoint(METRIC, -1001, "") is None
    assert read_checkpoint(METRIC, 0, POSITION.metadata()) == replace(POSITION, offset=0)


@pytest.mark.parametrize(
    "changed",
    [
        replace(METRIC, window=timedelta(hours=1)),
        replace(METRIC, lateness=timedelta(hours=1)),
        replace(METRIC, groups=METRIC.groups[:1]),
        replace(METRIC, measures=METRIC.measures[:1]),
        replace(METRIC, transform="module:function"),
        replace(METRIC, source="others"),
    ],
    ids=["window", "lateness", "groups", "measures", "transform", "source"],
)
def test_a_definition_that_changed_under_its_state_is_refused(changed: Metric) -> None:
    with pytest.raises(Refusal, match=f"the definition of '{METRIC.name}' changed while its state was kept"):
        read_checkpoint(changed, 41, POSITION.metadata())


def test_what_does_not_change_the_numbers_may_change_under_the_state() -> None:
    assert read_checkpoint(replace(METRIC, description="Other words.", owners=("other@example.com",)), 41,
                         POSITION.metadata()) == POSITION  # fmt: skip


@pytest.mark.parametrize("metadata", [None, "", "somebody", "[1, 2, true]", '{"since": 1}'])
def test_offsets_of_another_application_are_refused(metadata: str | None) -> None:
    with pytest.raises(Refusal, match="has offsets that this application did not commit"):
        read_checkpoint(METRIC, 41, metadata)
