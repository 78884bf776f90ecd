"""A person with events, and a look into every place, for tests of `lake forget` on every target."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest
from pyarrow.fs import FileInfo, FileSelector

from lake_assets.bucket import opened
from lake_assets.landing.files import files, window_rows
from lake_assets.ledger.audit import WindowAudit, audit_windows
from lake_assets.ledger.forgotten import Receipt
from lake_assets.ledger.ledger import Ledger, Pending
from lake_assets.ledger.window_states import window_states
from lake_assets.operations.adapters import erasure_for
from lake_assets.operations.erasure import execute as module
from lake_assets.operations.erasure.execute import forget
from lake_assets.operations.erasure.search import ErasurePlan, plan_erasure, wanted_fields
from lake_assets.operations.retention import settle_removals
from lake_assets.settings import Settings
from tests.support.visits import State, Visits, make_visits, visit

# Where a process may die, and whether before the step or after it: what is the same on every target, and what is not.
STEPS = [("rewrite_without", True), ("rewrite_without", False), ("expire", True), ("set_counts", False)]
STEPS_OF_TARGETS = [("remove_rows", True), ("remove_rows", False), ("purge", True), ("purge", False)]


class Killed(BaseException):
    pass


def with_a_person(settings: Settings, folder: Path) -> Visits:
    """The person has a good event and a repeat of it on the first, and one in quarantine on the second."""
    made = make_visits(settings, folder)
    made.older = states(settings.bucket)
    who = person(made)
    made.land(visit(1, 1), visit(who, 1), visit(2, 1, "south"), visit(3, 2), visit(who, 2, "south"), visit(4, 3))
    made.land(visit(who, 1, minute=5), visit(5, 1))
    made.refresh()
    return made


def person(visits: Visits) -> int:
    """A number that no other test of the same lake has anywhere."""
    return 770_000 + int(visits.asset.dataset.removeprefix("visits"))


def key(visits: Visits) -> str:
    return f"v{person(visits)}"


def planned(visits: Visits, *keys: str) -> ErasurePlan:
    with Ledger(visits.settings) as ledger:
        return plan_erasure(visits.settings, ledger, visits.asset, wanted_fields(visits.asset, keys or (key(visits),)))


def confirm(visits: Visits, *keys: str, checksum: str | None = None, force: bool = False) -> Receipt:
    checksum = checksum or planned(visits, *keys).checksum

    def make(_: Sequence[Pending]) -> dict[str, str]:
        return visits.refresh().failed

    with Ledger(visits.settings) as ledger:
        wanted = wanted_fields(visits.asset, keys or (key(visits),))
        receipt, failed = forget(
            visits.settings, ledger, visits.asset, [], wanted, checksum=checksum, force=force, build=make
        )
    assert failed == {}
    return receipt


def audited(visits: Visits) -> dict[str, WindowAudit]:
    """The audit of the windows, apart from the broker."""
    settings, asset = visits.settings, visits.asset
    with Ledger(settings) as ledger:
        settle_removals(settings, ledger, visits.warehouse, asset)
        found = audit_windows(
            window_states(ledger, asset), window_rows(settings, asset), visits.warehouse.window_rows(asset)
        )
    return {one.window: one for one in found}


def problems(visits: Visits) -> list[str]:
    return [problem for one in audited(visits).values() for problem in one.problems]


def states(bucket: str) -> frozenset[State]:
    """The files of a bucket as they are."""
    system, root = opened(bucket)
    return frozenset(map(_state, system.get_file_info(FileSelector(root, recursive=True))))


def _state(file: FileInfo) -> State:
    return file.path, file.mtime_ns, file.size


def files_holding(bucket: str, text: str, older: frozenset[State] = frozenset()) -> list[str]:
    """Every file of a bucket that has the text in a value or in a footer; of those only that are not `older`."""
    system, root = opened(bucket)
    found: list[str] = []
    for file in system.get_file_info(FileSelector(root, recursive=True)):
        if file.is_file and _state(file) not in older:
            with system.open_input_stream(file.path) as stream:
                content = stream.read()
            rows = pq.ParquetFile(BytesIO(content)).read().to_pylist() if content.startswith(b"PAR1") else []
            if text.encode() in content or text in str(rows):
                found.append(file.path)
    return found


def holding(visits: Visits, text: str) -> list[str]:
    """Every file that has the text and came since the test began, and every table of the warehouse and of Postgres."""
    found = files_holding(visits.settings.bucket, text, visits.older)
    tables = zip(("staging", "quarantine"), visits.both("*", "*"), strict=True)
    found += [table for table, rows in tables if text in str(rows)]
    with psycopg.connect(visits.settings.postgres.conninfo("lake")) as connection:
        tables = connection.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname in ('ducklake', 'ledger')"
        ).fetchall()
        for (table,) in tables:
            rows = connection.execute(f"select 1 from {table} as t where t::text like %s limit 1", (f"%{text}%",))  # pyright: ignore[reportCallIssue, reportArgumentType]
            if rows.fetchall():
                found.append(table)
    return found


def raw_rows(visits: Visits) -> dict[tuple[int, int], bytes]:
    held = files(visits.settings, visits.asset, window_rows(visits.settings, visits.asset).keys()).by_window.values()
    found: dict[tuple[int, int], bytes] = {}
    for path in [file.path for listed in held for file in listed]:
        system, place = opened(path)
        for row in pq.read_table(place, filesystem=system, partitioning=None).to_pylist():  # pyright: ignore[reportArgumentType]
            found[row["_partition"], row["_offset"]] = row["payload"]
    return found


def die_at(visits: Visits, monkeypatch: pytest.MonkeyPatch, step: str, before: bool) -> None:
    """Confirm in a process that ends there."""
    owner = type(erasure_for(visits.settings)) if step in ("remove_rows", "purge") else module
    real = getattr(owner, step)

    def die(*args: object) -> None:
        if not before:
            real(*args)
        raise Killed

    checksum = planned(visits).checksum
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, die)
        with pytest.raises(Killed):
            confirm(visits, checksum=checksum)
