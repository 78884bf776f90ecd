"""A host of metrics: one that fails stops alone, and the host follows its catalog."""

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import cast

import pytest

from stream_app.errors import Refusal
from stream_app.host import Host, HostStatus, Wanted
from stream_app.hosted import Definition
from stream_app.metric_run import MetricRun
from stream_app.status import Status
from tests.support.conditions import wait_until
from tests.support.metric_examples import metric, orders

SECONDS = 10.0


def definition(name: str, version: str = "1.0.0") -> Definition:
    source = orders()
    return Definition(replace(metric(source), name=name, version=version), source)


class Run:
    """Run of a metric that counts until it is stopped or made to fail."""

    def __init__(self, of: Definition) -> None:
        self.definition = of
        self.status = Status(of.metric.table, "1")
        self.error: BaseException | None = None
        self.is_counting = False
        self.may_end = threading.Event()
        self.may_end.set()
        self._end = threading.Event()

    def fail(self, error: BaseException) -> None:
        self.error = error
        self._end.set()

    @property
    def is_asked_to_end(self) -> bool:
        return self._end.is_set()

    def stop(self) -> None:
        self._end.set()

    def run(self) -> None:
        self.is_counting = True
        self._end.wait()
        self.may_end.wait()
        self.is_counting = False
        if self.error:
            raise self.error


@dataclass
class Hosting:
    """A host in a thread of its own, the runs it made, and what it reported last."""

    wanted: Wanted
    runs: list[Run] = field(default_factory=list[Run])
    status: HostStatus = field(default_factory=HostStatus)
    reports: int = 0

    def new_run(self, of: Definition) -> MetricRun:
        self.runs.append(Run(of))
        return cast("MetricRun", self.runs[-1])

    def keep(self, status: HostStatus) -> None:
        self.status = status
        self.reports += 1

    def counting(self) -> list[Definition]:
        return [run.definition for run in self.runs if run.is_counting]

    def run_of(self, name: str) -> Run:
        return next(run for run in reversed(self.runs) if run.definition.metric.name == name)


@contextmanager
def hosting(*definitions: Definition, pause_seconds: float = 0.01) -> Generator[Hosting]:
    made = Hosting(of(*definitions))
    host = Host(made.new_run, pause_seconds)
    thread = threading.Thread(target=lambda: host.run(lambda: made.wanted, made.keep))
    thread.start()
    try:
        eventually(lambda: len(made.counting()) == len(definitions))
        yield made
    finally:
        host.stop()
        thread.join(SECONDS)
    assert not thread.is_alive()
    assert made.counting() == []


def of(*definitions: Definition, version: str = "one") -> Wanted:
    return Wanted({one.metric.name: one for one in definitions}, (), version)


def eventually(condition: Callable[[], bool]) -> None:
    wait_until(condition, SECONDS, every=0.01)


@pytest.mark.parametrize("error", [Refusal("the topic has changed."), KeyError("x"), SystemExit(3), MemoryError()])
def test_a_metric_that_fails_stops_alone_and_is_named(error: BaseException) -> None:
    with hosting(definition("good"), definition("bad"), pause_seconds=1000) as made:
        neighbour = made.run_of("good")
        made.run_of("bad").fail(error)
        eventually(lambda: list(made.status.failures) == ["bad"])
        assert str(error) in made.status.failures["bad"]
        assert made.counting() == [neighbour.definition]
        assert made.run_of("good") is neighbour


def test_a_metric_that_failed_starts_again_beside_its_neighbour() -> None:
    with hosting(definition("good"), definition("bad")) as made:
        first, neighbour = made.run_of("bad"), made.run_of("good")
        first.fail(Refusal("once"))
        eventually(lambda: made.run_of("bad") is not first and len(made.counting()) == 2)
        assert made.run_of("good") is neighbour


def test_pauses_after_failures_grow() -> None:
    made: list[float] = []
    with hosting(definition("bad"), pause_seconds=0.2) as host:
        for number in range(1, 4):
            began = time.monotonic()
            host.runs[-1].fail(Refusal("again"))
            eventually(lambda number=number: len(host.runs) == number + 1 and host.runs[-1].is_counting)
            made.append(time.monotonic() - began)
    assert made[0] >= 0.2
    assert made[1] >= 0.4
    assert made[2] >= 0.6


def test_a_changed_metric_is_replaced_after_it_ended_and_no_other_is() -> None:
    with hosting(definition("same"), definition("changed")) as made:
        same, old = made.run_of("same"), made.run_of("changed")
        made.wanted = of(definition("same"), definition("changed", "1.1.0"), version="two")
        eventually(lambda: made.status.version == "two")
        assert not old.is_counting
        eventually(lambda: made.run_of("changed").is_counting)
        assert made.run_of("changed").definition.metric.version == "1.1.0"
        assert made.run_of("same") is same
        assert len(made.runs) == 3


def test_a_changed_metric_waits_for_the_end_of_the_one_before() -> None:
    """Both would write under one transactional id. Until then the version of the files is not reported either."""
    with hosting(definition("changed")) as made:
        [old] = made.runs
        old.may_end.clear()
        made.wanted = of(definition("changed", "1.1.0"), version="two")
        eventually(lambda: old.is_asked_to_end)
        before = made.reports
        eventually(lambda: made.reports >= before + 3)
        assert made.runs == [old]
        assert made.status.version == "one"
        old.may_end.set()
        eventually(lambda: made.status.version == "two" and made.run_of("changed").is_counting)
        assert len(made.runs) == 2


def test_metrics_that_come_and_go_leave_the_others_alone() -> None:
    with hosting(definition("stays"), definition("goes")) as made:
        stays = made.run_of("stays")
        made.wanted = of(definition("stays"), definition("comes"), version="two")
        eventually(lambda: made.status.version == "two")
        eventually(lambda: {one.metric.name for one in made.counting()} == {"stays", "comes"})
        assert made.run_of("stays") is stays
