"""The database agrees with a fold of the events when processes are killed, frozen or moved."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

import pytest

from tests.support.conditions import wait_until
from tests.support.counted_metrics import Counted
from tests.support.event_senders import produce
from tests.support.frozen_processes import frozen
from tests.support.metric_differences import differences
from tests.support.metric_watch import Watch
from tests.support.order_events import Expected, orders
from tests.support.part_faults import PARTS, TIMEOUTS_SECONDS, kill_part, restarting_sinks, visit

ORDERS = 150_000


@contextmanager
def counting(made: Counted, *names: str, rate: float = 7_000) -> Generator[threading.Thread]:
    """Events come, and these instances count them; afterwards all of them are in the database, each once. Gives the
    thread that sends."""
    expected = Expected()
    with restarting_sinks(made.settings), Watch(made) as watch:
        made.instances.start(*names)
        sending = produce(made, orders(ORDERS, expected), rate)
        yield sending
        sending.join()
        made.wait_until_settled()
    assert differences(made, expected, watch) == []
    assert watch.looks > 10


@pytest.mark.fault(
    "Kafka, Connect and Postgres are killed -9 while a metric is counted",
    "the view equals a fold of the events",
)
def test_servers_that_are_killed_and_come_back_cost_nothing(counted: Callable[..., Counted]) -> None:
    made = counted("servers", lateness="30m")  # partitions come back one by one, with what was sent meanwhile
    with counting(made, "one", "two"):
        for number, part in enumerate(PARTS, start=1):
            wait_until(lambda number=number: made.orders() >= ORDERS * number // 5)
            kill_part(made.settings, part)
    assert made.instances.ended() == []


@pytest.mark.fault("partitions of a metric move amid large transactions", "the view equals a fold of the events")
def test_partitions_that_move_amid_large_transactions_move_whole(counted: Callable[..., Counted]) -> None:
    """Rows of many groups make large transactions; a member that comes and goes makes the partitions move again and
    again, whatever the instances are doing."""
    made = counted("moving", groups=("region", "shop"), lateness="30m")
    moves = 0
    with counting(made, "one", "two") as sending:
        while sending.is_alive():
            wait_until(lambda: made.partitions() == {"one": 2, "two": 2})
            visit(made.settings, made.asset, made.metric)
            moves += 1
    assert made.instances.ended() == []
    assert moves >= 3


@pytest.mark.fault(
    "instances of a metric stand still past session and transaction, and wake up",
    "the view equals a fold of the events",
)
def test_zombies_that_wake_up_change_nothing_and_go_on_counting(counted: Callable[..., Counted]) -> None:
    """Zombies stand still for longer than their sessions and transactions last, each from another moment on."""
    made = counted("asleep", lateness="30m")
    with counting(made, "one", "two"):
        zombies = [made.instances.processes[name].pid for name in ("one", "two")]
        wait_until(lambda: made.orders() > ORDERS // 10)
        with frozen(*zombies):
            began = time.monotonic()
            made.instances.start("three")
            wait_until(lambda: made.partitions().get("three") == made.asset.partitions)
            wait_until(lambda: time.monotonic() > began + TIMEOUTS_SECONDS)
        wait_until(lambda: all(made.partitions().values()) and len(made.partitions()) == 3)
    assert made.instances.ended() == []
