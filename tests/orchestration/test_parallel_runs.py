"""A run builds the windows of one domain, so that a slow or failing domain does not delay the others."""

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from lake_assets.catalog.model import Asset
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.retries import Lane
from lake_assets.operations.refresh import observe
from lake_assets.orchestration import sensors
from lake_assets.orchestration.assets import QUEUED_ONLY, conforming_definition
from lake_assets.orchestration.keys import staging_key
from lake_assets.orchestration.run_requests import DOMAIN, Graph, Slots
from lake_assets.orchestration.sensors import raw_windows_sensor
from lake_assets.settings import Settings, load_settings
from tests.support.conditions import wait_until
from tests.support.visits import Visits, make_visits, visit

DOMAINS = ("harbour", "mill", "quarry")
JOINED = dg.AssetKey(["joined_data_mart", "joined"])
LONG = 3600.0


@dataclass
class Lake:
    """An asset for each domain, and the sensor of all; requested runs are recorded as started and never executed."""

    settings: Settings
    by_domain: dict[str, Visits]
    instance: dg.DagsterInstance
    wait_seconds: float = 0.0
    cursor: str | None = None
    days: dict[str, int] = field(default_factory=dict)
    requests: Sequence[dg.RunRequest] = ()

    def tick(self) -> list[str]:
        """The domains of the runs that a tick requests, in its order."""
        assets = {one.asset.name: one.asset for one in self.by_domain.values()}
        steps = [conforming_definition(self.settings, asset) for asset in assets.values()]
        staging = frozenset(staging_key(asset) for asset in assets.values())
        joined = _joined(sorted(staging))
        graph = Graph({JOINED: staging}, {})
        sensor = raw_windows_sensor(self.settings, assets, graph, [*steps, joined], self.wait_seconds)
        definitions = dg.Definitions(assets=[*steps, joined], sensors=[sensor])
        with dg.build_sensor_context(self.instance, cursor=self.cursor, definitions=definitions) as context:
            result = sensor.evaluate_tick(context)
        self.cursor = result.cursor
        self.requests = result.run_requests or ()
        for request in self.requests:
            self.instance.add_run(dg.DagsterRun("made", tags=request.tags, status=dg.DagsterRunStatus.STARTED))
        return [request.tags.get(DOMAIN, "all") for request in self.requests]

    def wait(self) -> tuple[threading.Thread, list[str]]:
        """Begin a tick that waits for an hour; the list has its domains when it has ended."""
        self.wait_seconds = LONG
        found: list[str] = []
        ticking = threading.Thread(target=lambda: found.extend(self.tick()), daemon=True)
        ticking.start()
        return ticking, found

    def land(self, *domains: str) -> None:
        for domain in domains:
            self.days[domain] = self.days.get(domain, 0) + 1
            self.by_domain[domain].land(visit(self.days[domain], self.days[domain]))

    def end(self, domain: str) -> None:
        """The run of a domain ends, and has built what was queued."""
        (run,) = [run for run in self.instance.get_runs() if run.tags.get(DOMAIN) == domain]
        with Ledger(self.settings) as ledger:
            ledger.connection.execute(
                "delete from ledger.pending where asset = %s and requested_at is not null",
                (self.by_domain[domain].asset.name,),
            )
        self.instance.delete_run(run.run_id)


def _joined(staging: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    @dg.asset(key=JOINED, deps=staging)
    def joined() -> None: ...

    return joined


@pytest.fixture
def domains(lake: Settings, tmp_path: Path) -> Lake:
    by_domain: dict[str, Visits] = {}
    for domain in DOMAINS:
        (tmp_path / domain).mkdir()
        by_domain[domain] = make_visits(lake, tmp_path / domain, domain=domain)
    return Lake(lake, by_domain, dg.DagsterInstance.ephemeral())


def test_domain_whose_run_does_not_end_delays_no_other(domains: Lake) -> None:
    """Regression guard: there was one run for the whole lake, and a Spark job of an hour kept all others waiting."""
    domains.land("mill")
    assert domains.tick() == ["mill"]
    domains.land("mill", "harbour")
    assert domains.tick() == ["harbour"]
    domains.end("harbour")
    domains.land("harbour")
    assert domains.tick() == ["harbour"]
    domains.end("mill")
    assert domains.tick() == ["mill"]


def test_run_builds_nothing_of_another_domain_but_joined_marts(domains: Lake) -> None:
    domains.land("mill", "harbour")
    assert sorted(domains.tick()) == ["harbour", "mill"]
    for request in domains.requests:
        own = domains.by_domain[request.tags[DOMAIN]].asset
        keys = set(request.asset_selection or ())
        assert {staging_key(own), JOINED} <= keys
        assert {key.path[0] for key in keys} == {"conformed", own.staging_schema, "joined_data_mart"}


@pytest.mark.parametrize("most", [2, 3])
def test_no_more_runs_are_unfinished_than_the_setting_allows(
    domains: Lake, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_PARALLEL_RUNS", str(most))
    domains.settings = load_settings()
    domains.land(*DOMAINS)
    first = domains.tick()
    assert len(first) == most
    assert domains.tick() == []
    domains.end(first[0])
    assert domains.tick() == [domain for domain in DOMAINS if domain not in first][:1]


def test_domain_that_has_waited_longest_is_first(domains: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for domain in ("quarry", "harbour", "mill"):
        domains.land(domain)
        with Ledger(domains.settings) as ledger:
            observe(domains.settings, ledger, [domains.by_domain[domain].asset], {})
    assert domains.tick() == ["quarry", "harbour"]
    domains.end("harbour")
    assert domains.tick() == ["mill"]


def test_without_parallel_runs_one_takes_all_domains(domains: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_PARALLEL_RUNS", "1")
    domains.settings = load_settings()
    domains.land(*DOMAINS)
    assert domains.tick() == ["all"]
    (request,) = domains.requests
    staging = {staging_key(one.asset) for one in domains.by_domain.values()}
    assert {*staging, JOINED} <= set(request.asset_selection or ())
    domains.land("mill")
    assert domains.tick() == []
    (run,) = domains.instance.get_runs()
    domains.instance.delete_run(run.run_id)
    domains.instance.add_run(dg.DagsterRun("made", tags=run.tags, status=dg.DagsterRunStatus.FAILURE))
    # What the failed run was requested for waits; what has landed since does not.
    assert domains.tick() == ["all"]
    assert set(domains.requests[0].asset_selection or ()) & staging == {staging_key(domains.by_domain["mill"].asset)}


@pytest.mark.parametrize(
    "tags", [{DOMAIN: "mill", QUEUED_ONLY: "true"}, {QUEUED_ONLY: "both"}], ids=["own", "lake run"]
)
def test_failed_run_is_not_requested_again_at_once_and_a_lost_one_is(domains: Lake, tags: dict[str, str]) -> None:
    domains.land("mill")
    assert domains.tick() == ["mill"]
    (lost,) = domains.instance.get_runs()
    domains.instance.delete_run(lost.run_id)
    other = {DOMAIN: "harbour", QUEUED_ONLY: "true"}
    domains.instance.add_run(dg.DagsterRun("made", tags=other, status=dg.DagsterRunStatus.FAILURE))
    assert domains.tick() == ["mill"]
    (run,) = [run for run in domains.instance.get_runs() if run.tags[DOMAIN] == "mill"]
    domains.instance.delete_run(run.run_id)
    domains.instance.add_run(dg.DagsterRun("made", tags=tags, status=dg.DagsterRunStatus.FAILURE))
    assert domains.tick() == []


@pytest.mark.parametrize("tags", [{QUEUED_ONLY: "true"}, {QUEUED_ONLY: "both"}], ids=["older lake", "lake run"])
def test_run_of_the_whole_queue_leaves_no_window_to_another(domains: Lake, tags: dict[str, str]) -> None:
    whole = domains.instance.add_run(dg.DagsterRun("made", tags=tags, status=dg.DagsterRunStatus.STARTED))
    domains.land("mill", "harbour")
    assert domains.tick() == []
    domains.instance.delete_run(whole.run_id)
    assert sorted(domains.tick()) == ["harbour", "mill"]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of tables at each look for commits, of ticks that look without a notification once only."""
    monkeypatch.setattr(sensors, "POLL_SECONDS", LONG)
    made: list[int] = []
    read = sensors.has_changes

    def look(settings: Settings, assets: Collection[Asset], since: Mapping[str, str]) -> bool:
        made.append(len(assets))
        return read(settings, assets, since)

    monkeypatch.setattr(sensors, "has_changes", look)
    return made


def test_waiting_tick_ends_at_another_domains_commit_only(domains: Lake, looks: list[int]) -> None:
    domains.land("mill")
    assert domains.tick() == ["mill"]
    ticking, found = domains.wait()
    wait_until(lambda: looks == [2])
    domains.land("mill")
    wait_until(lambda: looks == [2, 2])
    assert ticking.is_alive()
    domains.land("quarry")
    wait_until(lambda: not ticking.is_alive())
    assert found == ["quarry"]


def test_waiting_tick_ends_with_a_run_behind_which_rows_have_landed(
    domains: Lake, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    polls: list[str] = []
    read = sensors.read_slots

    def polled(instance: dg.DagsterInstance, lane: Lane, most: int) -> Slots:
        polls.append(lane)
        return read(instance, lane, most)

    domains.land("mill")
    assert domains.tick() == ["mill"]
    domains.land("mill")
    monkeypatch.setattr(sensors, "read_slots", polled)
    ticking, found = domains.wait()
    wait_until(lambda: polls.count("fresh") > 3)
    # No table had a commit meanwhile, and in a cloud each look is a request.
    assert looks == [2]
    assert ticking.is_alive()
    domains.end("mill")
    wait_until(lambda: not ticking.is_alive())
    assert found == ["mill"]
