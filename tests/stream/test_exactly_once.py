"""The database agrees with a fold of the events, to the cent, when instances are killed at random."""

import time
from collections.abc import Callable
from random import Random

import pytest

from tests.support.conditions import wait_until
from tests.support.counted_metrics import Counted
from tests.support.event_senders import produce
from tests.support.metric_differences import differences
from tests.support.metric_watch import Watch
from tests.support.order_events import Expected, orders

ORDERS = 150_000
NAMES = ("one", "two", "three")


@pytest.mark.fault(
    "instances of a metric are killed -9 at random moments",
    "the view equals a fold of the events, and no number goes backwards",
)
def test_instances_killed_at_random_moments_lose_and_double_nothing(counted: Callable[..., Counted]) -> None:
    made, expected, draw = counted("killed"), Expected(), Random(5)
    with Watch(made) as watch:
        made.instances.start(*NAMES)
        sending = produce(made, orders(ORDERS, expected), 7_000)
        kills = 0
        while sending.is_alive():
            time.sleep(draw.uniform(0.5, 4))
            name = draw.choice(NAMES)
            made.instances.kill(name)
            made.instances.start(name)
            kills += 1
        sending.join()
        made.wait_until_settled()
    assert differences(made, expected, watch) == []
    assert kills > 4
    assert watch.looks > 10


def test_an_instance_that_is_asked_to_end_commits_and_ends_in_time(counted: Callable[..., Counted]) -> None:
    made, expected = counted("asked"), Expected()
    made.instances.start("one")
    produce(made, orders(2_000, expected), 50_000).join()
    made.wait_for(1)
    assert made.instances.stop("one") == 0
    made.instances.start("one")
    made.wait_for(expected.orders)
    assert expected.agrees_with(made.rows())


def test_undecodable_records_are_kept_with_their_reason_and_counted(counted: Callable[..., Counted]) -> None:
    made, expected = counted("broken"), Expected()
    made.instances.start("one")
    produce(made, orders(3_000, expected), 50_000).join()
    made.wait_for(expected.orders)
    wait_until(lambda: made.instances.numbers("one").get("undecodable") == expected.broken)
    assert made.instances.numbers("one")["late"] == 0
