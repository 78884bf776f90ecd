"""Every part and every long command is killed -9 at random moments while events come, and each event is there once.

KILL_SEED repeats a run's order, gaps and choices, which the test prints; KILL_SECONDS makes it longer.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random

import pytest

from lake_assets.project import read_files
from lake_assets.settings import PROJECT, load_settings
from lake_assets.stack.lifecycle import up
from lake_assets.warehouse.marts import outdated_dbt_files, write_dbt_files
from tests.end_to_end.conftest import Lake
from tests.support.conditions import COMMAND_SECONDS, wait_until
from tests.support.exactness import (
    Prefixes,
    counted_differences,
    mart_differences,
    raw_differences,
    read_topics,
    sender_differences,
    table_differences,
)
from tests.support.onlookers import MartReader, StagingReader
from tests.support.random_kills import COMMANDS, PARTS, RUN, CommandKiller, PartKiller
from tests.support.server_marker import starts_server
from tests.support.stack_removal import end_stack
from tests.support.traffic import TAPS_SQL, TAPS_YAML, Sender, taps_contract

SECONDS = float(os.environ.get("KILL_SECONDS", "60"))
SEED = int(os.environ.get("KILL_SEED", Random().randrange(1_000_000)))
# Until every part and every command was killed once, on a machine that has other things to do.
FIRST_ROUND_SECONDS = 360
# For a part to answer again, and for what was sent when the last one was killed to be in the mart.
ANSWER_SECONDS, MART_SECONDS = 90.0, 180.0
# What a reader must at least have seen, to have seen anything.
LOOKS, STATES = 50, 100


@pytest.fixture
@starts_server
def lake(tmp_path: Path) -> Generator[Lake]:
    """A stack of its own with every part: sales with a metric, and taps with a mart of their own; both have rows."""
    home = Path(tempfile.mkdtemp(prefix="lake-"))
    shutil.copytree(PROJECT / "dbt_project", tmp_path / "dbt", ignore=shutil.ignore_patterns("target", "logs"))
    catalog, mart = tmp_path / "catalog", tmp_path / "dbt" / "models" / "marts" / "taps_data_mart"
    for folder in (catalog / "assets", catalog / "metrics", mart):
        folder.mkdir(parents=True)
    shutil.copy(PROJECT / "lake_assets" / "catalog" / "assets" / "sales.yaml", catalog / "assets")
    (catalog / "assets" / "taps.yaml").write_text(taps_contract(0), "utf-8")
    metric = (PROJECT / "lake_assets" / "catalog" / "metrics" / "sales_by_region.yaml").read_text("utf-8")
    # The files' lines are hours ahead of the stream, and a partition may be behind the others for a minute when its
    # leader has been away: neither is late. What is sent late is two days old.
    metric = metric.replace("window: 1m", "window: 1h").replace("lateness: 2m", "lateness: 36h")
    (catalog / "metrics" / "sales_by_region.yaml").write_text(metric, "utf-8")
    (mart / "taps.sql").write_text(TAPS_SQL, "utf-8")
    (mart / "taps.yml").write_text(TAPS_YAML, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_HOME", str(home))
        patch.setenv("LAKE_CATALOG", str(catalog))
        patch.setenv("LAKE_DBT_PROJECT", str(tmp_path / "dbt"))
        # Before the definitions are loaded, which hold a mart of their contents.
        write_dbt_files(outdated_dbt_files(load_settings(), read_files(load_settings()).assets.values()))
        try:
            up()
            made = Lake(load_settings(), tmp_path, dict(os.environ))
            made.ok("apply")
            yield made
        finally:
            end_stack(home)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def ending(lake: Lake) -> Generator[ExitStack]:
    """Return the exit stack that is closed before the stack is removed."""
    with ExitStack() as stack:
        yield stack


def rounded(seconds: Iterable[float]) -> list[float]:
    return [round(one, 1) for one in seconds]


def stopwatch() -> Callable[[str], None]:
    began = time.monotonic()
    return lambda line: print(f"{time.monotonic() - began:6.1f} s  {line}", flush=True)


def check_recovery(
    marts: MartReader,
    parts: PartKiller,
    sender: Sender,
    record_property: Callable[[str, object], None],
    log: Callable[[str], None],
) -> None:
    """Every part answers soon after a kill, and what was sent by then reaches the mart."""
    flows = {kill: marts.seconds_until(kill.at, sender.taps_sent_at(kill.at)) for kill in parts.kills}
    for part in (*PARTS, RUN):
        answers = [high - low for low, high in parts.outages(part)]
        own = [seconds for kill, seconds in flows.items() if kill.victim == part]
        log(f"{part}: {len(own)} kills, answers after {rounded(answers)}, in the mart after {rounded(own)}")
        if answers:
            record_property(f"{part} answers", max(answers))
        assert max(answers, default=0.0) < ANSWER_SECONDS
    record_property("what was sent at a kill is in the mart", max(flows.values()))
    assert max(flows.values()) < MART_SECONDS


@pytest.mark.alone
@pytest.mark.fault(
    "broker, Connect, Postgres, dbt, code server, daemon, web server, dashboard, a metric, a run of Dagster, "
    "`lake run`, `apply`, `produce` and `backfill` are killed -9 at random moments, under events and readers that poll",
    "every event is in raw, staging, mart and metric once, readers see whole windows, and what was killed comes back",
)
def test_any_process_killed_at_any_moment_loses_and_doubles_nothing(
    lake: Lake, ending: ExitStack, record_property: Callable[[str, object], None]
) -> None:
    log, settings = stopwatch(), lake.settings
    log(f"KILL_SEED={SEED} KILL_SECONDS={SECONDS:.0f}")
    sender, staging, marts = Sender(settings), StagingReader(settings), MartReader(settings)
    parts = PartKiller(lake, SEED, log)
    commands = CommandKiller(lake, SEED, lambda: sender.arrived, log)
    for one in (sender, parts, commands, staging, marts):
        ending.callback(one.give_up)
    sender.start()
    wait_until(marts.are_there)
    log("both marts are made")
    for one in (staging, marts, parts, commands):
        one.start()
    began = time.monotonic()

    def is_over() -> bool:
        each = {*PARTS, RUN} <= parts.killed.keys() and set(COMMANDS) <= commands.killed.keys()
        return (each and time.monotonic() - began > SECONDS) or parts.has_ended or commands.has_ended

    wait_until(is_over, max(SECONDS, FIRST_ROUND_SECONDS))
    parts.stop()
    sender.stop()
    commands.stop()
    log(f"{len(sender.record.acknowledged):,} events acknowledged, of {len(sender.record.unknown)} nobody knows")
    topics, names = read_topics(settings), list(commands.names())

    def differences() -> list[str]:
        """Return the differences in the last stage that has any: marts first, raw last."""
        return (
            mart_differences(settings, topics)
            or counted_differences(settings, topics, names)
            or table_differences(settings, topics)
            or raw_differences(settings, topics)
        )

    found = ["nobody has looked"]

    def is_complete() -> bool:
        found[:] = differences()
        if found:
            log(f"not there yet: {found[0]}")
        return not found

    with suppress(AssertionError):  # missing ones are reported below
        wait_until(is_complete, MART_SECONDS, every=COMMAND_SECONDS)
    audit = lake("audit")
    log(audit.out)
    for reader in (staging, marts):
        reader.stop()

    assert sender_differences(topics, sender.record, names) == []
    assert found == []
    assert audit.code == 0, audit.out + audit.err
    assert "final numbers equal staging" in audit.out
    assert commands.complaints == []
    # Sessions end a moment after one of Postgres's processes was killed.
    away, prefixes = [(low, high + 3) for low, high in parts.outages("postgres")], Prefixes.of(topics)
    for reader in (staging, marts):
        log(f"{type(reader).__name__}: {reader.looks} looks, {len(reader.seen)} states, {len(reader.errors)} errors")
        assert reader.wrong == []
        assert reader.half(prefixes) == []
        assert reader.unexplained(away) == []
        assert reader.looks > LOOKS
        assert len(reader.seen) > STATES
    check_recovery(marts, parts, sender, record_property, log)
