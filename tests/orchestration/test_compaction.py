"""Small raw files of closed windows are compacted, which only the count of files shows."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from pyiceberg.table import Table

from lake_assets.cli.maintain import command
from lake_assets.compile.forget import Wanted
from lake_assets.errors import LakeError
from lake_assets.landing import compaction as writing
from lake_assets.landing import replace_files as replacing
from lake_assets.landing.changes import WindowChange, changes
from lake_assets.landing.compaction import MIN_FILES
from lake_assets.landing.files import files, window_rows
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removals import orphan_files
from lake_assets.operations import retention
from lake_assets.operations.compaction import compact_closed
from lake_assets.operations.erasure import execute as forgetting
from lake_assets.operations.erasure.execute import forget
from lake_assets.operations.erasure.search import plan_erasure, wanted_fields
from lake_assets.operations.refresh import observe
from lake_assets.operations.retention import expire, maintain, plan_retention
from lake_assets.orchestration.housekeeping import housekeeping_asset
from lake_assets.settings import Settings
from lake_assets.warehouse.local.ducklake import DuckLake
from tests.support.visits import Visits, make_visits, visit

# The first of February has many files, the second too few.
MANY, FEW = "2026-02-01", "2026-02-02"
NOW = datetime(2026, 2, 20, tzinfo=UTC)
OFFSETS = "kafka.connect.offsets.control.group"


@pytest.fixture
def visits(lake: Settings, tmp_path: Path) -> Visits:
    made = make_visits(lake, tmp_path)
    for number in range(MIN_FILES):
        made.land(visit(number, 1, "north" if number % 3 else "south"), *[visit(100, 2)][: number % 2])
    made.refresh()
    return made


def compacted(visits: Visits, *newer: Visits, now: datetime = NOW) -> list[tuple[tuple[str, ...], int, int]]:
    """Return for each commit its windows, and the counts of their files before and after."""
    with Ledger(visits.settings) as ledger:
        done = compact_closed(visits.settings, ledger, [visits.asset, *(one.asset for one in newer)], now)
    return [(one.windows, one.before.count, one.after.count) for one in done]


def raw_rows(visits: Visits) -> list[dict[str, Any]]:
    """Every column of every row that raw has. Files of before headers were kept have no column of them."""
    held = files(visits.settings, visits.asset, window_rows(visits.settings, visits.asset)).by_window.values()
    rows = [row for listed in held for file in listed for row in pq.ParquetFile(file.path).read().to_pylist()]
    return sorted(({"_headers": None, **row} for row in rows), key=lambda row: (row["_partition"], row["_offset"]))


def file_count(visits: Visits) -> dict[str, int]:
    """Return by window the number of files that the table names."""
    held = files(visits.settings, visits.asset, window_rows(visits.settings, visits.asset)).by_window
    return {window: len(listed) for window, listed in held.items()}


def stored(visits: Visits) -> set[Path]:
    """All data files in the bucket, whether a snapshot names them or not."""
    return set(Path(urlsplit(load(visits).location()).path).rglob("*.parquet"))


def load(visits: Visits) -> Table:
    with raw_catalog(visits.settings) as catalog:
        return catalog.load_table(("ops", visits.asset.name))


def all_windows(visits: Visits) -> dict[str, tuple[int, ...]]:
    """Return by window its sequence number, rows and bounds, from the statistics of all its files."""

    def numbers(one: WindowChange) -> tuple[int, ...]:
        bounds = (one.min_offset, one.max_offset)
        return (one.sequence, one.rows, *(bound for bound in bounds if bound is not None))

    found = changes(visits.settings, [visits.asset], {}).windows[visits.asset.name]
    return {one.window: numbers(one) for one in found}


def cursors(visits: Visits) -> dict[str, str]:
    with Ledger(visits.settings) as ledger:
        return ledger.cursors()


def published_at(visits: Visits) -> list[datetime]:
    with Ledger(visits.settings) as ledger:
        return [entry.published_at for entry in ledger.windows(visits.asset)]


def test_many_small_files_become_one_with_every_row_as_it_was_and_in_order(visits: Visits) -> None:
    before = raw_rows(visits)
    assert file_count(visits) == {MANY: MIN_FILES, FEW: MIN_FILES // 2}
    assert compacted(visits) == [((MANY,), MIN_FILES, 1)]
    assert file_count(visits) == {MANY: 1, FEW: MIN_FILES // 2}
    assert raw_rows(visits) == before
    summary = load(visits).metadata.snapshots[-1].summary
    assert summary is not None
    assert (summary.operation.value, summary["total-records"]) == ("replace", str(visits.landed))
    [file] = files(visits.settings, visits.asset, [MANY]).by_window[MANY]
    offsets = [(row["_partition"], row["_offset"]) for row in pq.ParquetFile(file.path).read().to_pylist()]
    for partition in (0, 1):
        held = [offset for where, offset in offsets if where == partition]
        assert held == sorted(held)


def test_no_reader_takes_it_for_news_and_a_second_time_does_nothing(visits: Visits) -> None:
    known, made, whole = cursors(visits), published_at(visits), all_windows(visits)
    compacted(visits)
    snapshot = load(visits).metadata.current_snapshot_id
    assert compacted(visits) == []
    assert load(visits).metadata.current_snapshot_id == snapshot
    assert changes(visits.settings, [visits.asset], known).windows == {}
    assert {window: numbers[:2] for window, numbers in all_windows(visits).items()} == {
        window: numbers[:2] for window, numbers in whole.items()
    }
    assert visits.refresh().published == []
    assert published_at(visits) == made
    assert visits.in_balance()


def test_a_window_with_a_late_event_afterwards_is_rebuilt_whole(visits: Visits) -> None:
    compacted(visits)
    known, staged = cursors(visits), visits.staged()
    visits.land(visit(77, 1))
    [change] = changes(visits.settings, [visits.asset], known).windows[visits.asset.name]
    assert (change.window, change.rows, change.files) == (MANY, 1, 1)
    assert [one.window for one in visits.refresh().published] == [MANY]
    assert visits.staged() == sorted([*staged, "v77"])
    assert visits.in_balance()


def test_a_window_that_has_not_ended_is_left_alone(visits: Visits) -> None:
    assert compacted(visits, now=datetime(2026, 2, 1, 23, 59, 59, tzinfo=UTC)) == []
    assert compacted(visits, now=datetime(2026, 2, 2, tzinfo=UTC)) == [((MANY,), MIN_FILES, 1)]


def test_a_file_that_no_refresh_has_seen_yet_stays_new(visits: Visits) -> None:
    visits.land(visit(77, 1))
    assert compacted(visits) == [((MANY,), MIN_FILES, 1)]
    assert file_count(visits)[MANY] == 2
    [change] = changes(visits.settings, [visits.asset], cursors(visits)).windows[visits.asset.name]
    assert (change.window, change.rows) == (MANY, 1)
    assert [one.window for one in visits.refresh().published] == [MANY]
    assert visits.in_balance()


def test_a_recreated_table_is_not_compacted_until_the_next_refresh(visits: Visits) -> None:
    with Ledger(visits.settings) as ledger:
        ledger.record_landed({visits.asset.name: "1000.00000000.00000000"}, {})
    assert compacted(visits) == []
    visits.refresh()
    assert compacted(visits) == [((MANY,), MIN_FILES, 1)]


def test_what_one_of_two_versions_has_not_looked_at_yet_stays_news_for_it(visits: Visits) -> None:
    newer = visits.beside()
    assert compacted(visits, newer) == []
    newer.refresh()
    visits.land(visit(77, 1))
    visits.refresh()
    assert compacted(visits, newer) == [((MANY,), MIN_FILES, 1)]
    [change] = changes(visits.settings, [newer.asset], cursors(visits)).windows[newer.asset.name]
    assert (change.window, change.rows) == (MANY, 1)
    assert [one.window for one in newer.refresh().published] == [MANY]
    assert newer.in_balance()


def test_a_window_that_one_of_two_versions_has_queued_is_left_alone(visits: Visits) -> None:
    newer = visits.beside()
    newer.refresh()
    with Ledger(visits.settings) as ledger:
        ledger.queue_windows(newer.asset, [MANY])
    assert compacted(visits, newer) == []
    newer.refresh()
    assert compacted(visits, newer) == [((MANY,), MIN_FILES, 1)]


def test_a_window_that_is_queued_or_that_retention_takes_is_left_alone(visits: Visits) -> None:
    visits.land(visit(77, 1))
    with Ledger(visits.settings) as ledger:
        observe(visits.settings, ledger, [visits.asset], ledger.cursors())
    assert compacted(visits, now=datetime(2026, 2, 19, 23, tzinfo=UTC)) == []
    visits.refresh()
    visits.apply(
        "customProperties:",
        "slaProperties: [{property: retention, element: raw, value: 18, unit: d}]\ncustomProperties:",
    )
    assert compacted(visits, now=datetime(2026, 2, 20, tzinfo=UTC)) == []
    assert compacted(visits, now=datetime(2026, 2, 19, 23, tzinfo=UTC)) == [((MANY,), MIN_FILES + 1, 1)]


def test_rows_of_more_than_one_file_are_cut_in_order(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    before = raw_rows(visits)
    monkeypatch.setattr(writing, "_GROUP_BYTES", 1)
    monkeypatch.setattr(writing, "TARGET_BYTES", 3000)
    [(_, _, after)] = compacted(visits)
    assert 1 < after < MIN_FILES
    assert raw_rows(visits) == before
    held = sorted(files(visits.settings, visits.asset, [MANY]).by_window[MANY], key=lambda file: file.path)
    rows = [row for file in held for row in pq.ParquetFile(file.path).read().to_pylist()]
    payloads = [json.loads(row["payload"])["visit_id"] for row in rows]
    assert payloads == [f"v{number}" for number in range(MIN_FILES)]
    assert visits.refresh().published == []


def test_windows_are_done_in_goes_that_do_not_take_long(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(MIN_FILES):
        visits.land(visit(200 + number, 3), visit(300 + number, 4))
    visits.refresh()
    monkeypatch.setattr("lake_assets.operations.compaction._BATCH", writing.Files(2 * MIN_FILES, 1 << 30))
    three, four = "2026-02-03", "2026-02-04"
    assert compacted(visits) == [((MANY, three), 2 * MIN_FILES, 2), ((four,), MIN_FILES, 1)]
    assert visits.in_balance()


def commit(visits: Visits, offsets: str) -> None:
    """Commit offsets as the sink does."""
    with load(visits).transaction() as transaction, transaction.update_snapshot({OFFSETS: offsets}).fast_append():
        pass


@pytest.mark.fault("The sink commits while small files are written together", "no offset goes back, no event is lost")
def test_a_sink_commit_in_between_is_not_followed_by_its_older_offsets(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(visits, "older")
    visits.refresh()
    real, calls = replacing.sink_properties, list[dict[str, str]]()

    def read(table: Table) -> dict[str, str]:
        calls.append(real(table))
        if len(calls) == 1:
            commit(visits, "newer")
        if len(calls) == 2:
            visits.land(visit(77, 1))
        return calls[-1]

    monkeypatch.setattr(replacing, "sink_properties", read)
    before = raw_rows(visits)
    assert compacted(visits) == [((MANY,), MIN_FILES, 1)]
    assert [word[OFFSETS] for word in calls] == ["older", "newer", "newer"]
    snapshot = load(visits).current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary[OFFSETS] == "newer"
    after = raw_rows(visits)
    assert [row for row in after if row in before] == before
    assert len(after) == len(before) + 1
    assert [one.window for one in visits.refresh().published] == [MANY]
    assert visits.in_balance()


class Killed(BaseException):
    pass


def test_a_process_that_dies_loses_nothing_and_leaves_nothing_behind(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real = raw_rows(visits), writing.replace_alike
    for committed in (False, True):

        def die(*args: Any, committed: bool = committed) -> None:
            if committed:
                real(*args)
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(writing, "replace_alike", die)
            with pytest.raises(Killed):
                compacted(visits)
        assert raw_rows(visits) == before
        assert len(stored(visits)) == MIN_FILES + MIN_FILES // 2 + 1
        with Ledger(visits.settings) as ledger:
            expire(visits.settings, ledger, visits.asset, datetime.now(UTC))
            assert orphan_files(ledger, visits.asset.dataset) == []
        assert file_count(visits)[MANY] == (1 if committed else MIN_FILES)
        assert sum(file_count(visits).values()) == len(stored(visits))
        assert raw_rows(visits) == before
    assert compacted(visits) == []
    assert visits.refresh().published == []
    assert visits.in_balance()


def test_old_files_stay_until_the_snapshots_that_name_them_expire(visits: Visits) -> None:
    """A run that has a list of them reads on."""
    held = [file.path for file in files(visits.settings, visits.asset, [MANY]).by_window[MANY]]
    compacted(visits)
    assert all(Path(path).exists() for path in held)
    with Ledger(visits.settings) as ledger:
        expire(visits.settings, ledger, visits.asset, datetime.now(UTC))
    assert not any(Path(path).exists() for path in held)
    assert len(raw_rows(visits)) == visits.landed


def test_a_file_that_differs_from_its_table_entry_changes_nothing(visits: Visits) -> None:
    file = files(visits.settings, visits.asset, [MANY]).by_window[MANY][0]
    rows = pq.ParquetFile(file.path).read()
    snapshot = load(visits).metadata.current_snapshot_id
    pq.write_table(rows.append_column("more", rows["payload"]), file.path)
    with pytest.raises(LakeError, match=r"has the columns payload, .*, more and its table others: it stays"):
        compacted(visits)
    pq.write_table(rows.slice(0, 0), file.path)
    with pytest.raises(LakeError, match="hold other rows than their table has: nothing is changed"):
        compacted(visits)
    assert load(visits).metadata.current_snapshot_id == snapshot


def erase(visits: Visits, ledger: Ledger, wanted: Sequence[Wanted], checksum: str) -> None:
    forget(
        visits.settings,
        ledger,
        visits.asset,
        [],
        wanted,
        checksum=checksum,
        force=False,
        build=lambda _: visits.refresh().failed,
    )


def test_a_person_who_is_being_forgotten_is_in_no_new_file(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision names files. Were they written together meanwhile, the person would stay."""
    settings, asset = visits.settings, visits.asset
    visits.land(visit(77, 1))
    visits.refresh()

    def confirm() -> None:
        with Ledger(settings) as ledger:
            wanted = wanted_fields(asset, ["v5"])
            checksum = plan_erasure(settings, ledger, asset, wanted).checksum
            erase(visits, ledger, wanted, checksum)

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "rewrite_without", die)
        with pytest.raises(Killed):
            confirm()
    assert compacted(visits) == []
    confirm()
    assert compacted(visits) == [((MANY,), MIN_FILES, 1)]
    assert not [row for row in raw_rows(visits) if b'"v5"' in row["payload"]]
    assert len(raw_rows(visits)) == visits.landed - 1
    assert visits.refresh().published == []


def test_files_with_rows_of_a_subject_are_locked_until_the_decision(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, asset, free = visits.settings, visits.asset, list[bool]()
    real = forgetting.decide_to_forget

    def decide(*args: Any, **named: Any) -> int:
        with Ledger(settings) as other, other.alone(f"dataset:{asset.dataset}") as held:
            free.append(held)
        return real(*args, **named)

    monkeypatch.setattr(forgetting, "decide_to_forget", decide)
    with Ledger(settings) as ledger:
        wanted = wanted_fields(asset, ["v5"])
        checksum = plan_erasure(settings, ledger, asset, wanted).checksum
        erase(visits, ledger, wanted, checksum)
    assert free == [False]


def test_a_removal_that_was_cut_off_is_settled_first(visits: Visits, monkeypatch: pytest.MonkeyPatch) -> None:
    """The removal is judged by sequence numbers of files: of earlier ones, and of those that came later."""
    settings, kept = visits.settings, datetime(2026, 2, 13, 1, tzinfo=UTC)
    visits.apply(
        "customProperties:",
        "slaProperties: [{property: retention, element: raw, value: 11, unit: d}]\ncustomProperties:",
    )

    def die(*_: object) -> None:
        raise Killed

    def confirm() -> None:
        with Ledger(settings) as ledger:
            found = plan_retention(settings, ledger, DuckLake(settings), [visits.asset], kept)
            maintain(settings, ledger, DuckLake(settings), [visits.asset], kept, found.checksum)

    with monkeypatch.context() as patch:
        patch.setattr(retention, "remove_windows", die)
        with pytest.raises(Killed):
            confirm()
    # The contract changes its mind: the window is not too old any more.
    visits.apply("value: 11", "value: 400")
    assert compacted(visits) == []
    with Ledger(settings) as ledger:
        retention.settle_removals(settings, ledger, DuckLake(settings), visits.asset)
    assert compacted(visits) == [((MANY,), MIN_FILES, 1)]


def test_compaction_runs_each_hour_and_the_event_reports_it(visits: Visits) -> None:
    hourly = housekeeping_asset(visits.settings, [visits.asset])
    with dg.DagsterInstance.ephemeral() as instance:
        [event] = dg.materialize([hourly], instance=instance).asset_materializations_for_node("leftovers")
    assert event.metadata["files_compacted"].value == {visits.asset.name: [MIN_FILES, 1]}
    assert visits.in_balance()


def test_the_command_reports_compactions_and_needs_no_checksum_for_them(
    visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits.alone()
    found = CliRunner().invoke(command, [], catch_exceptions=False)
    assert f"{visits.asset.name}: {MIN_FILES} small files of 1 windows are 1 now, of " in found.stderr
    assert "No windows have expired." in found.stdout
    answer = json.loads(CliRunner().invoke(command, ["--json"], catch_exceptions=False).stdout)
    assert answer["cleaned"] == [
        {"dataset": visits.asset.name, "files_removed": 0, "superseded_removed": 0, "compactions": []}
    ]
