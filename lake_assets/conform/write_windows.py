"""Steps after judging, on every engine: duplicates, counts, Parquet, and the contract's checks.

The connection has the temporary table `judged`, with all rows that may be duplicates of each other.
"""

from collections import Counter, defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from lake_assets.bucket import is_local, local_path, opened, remove, unusable, written
from lake_assets.catalog.model import Asset, Check
from lake_assets.catalog.window_results import CheckOutcome, PartitionCount, UnknownField
from lake_assets.catalog.windows import window_key, window_path, window_start
from lake_assets.compile.conform import (
    COUNTS,
    GOOD_VIEW,
    MOST_UNKNOWN,
    UNKNOWN,
    conflicts,
    dropped_table,
    good_select,
    quarantine_select,
)
from lake_assets.compile.ddl import staging_columns
from lake_assets.compile.sql import identifier, literal
from lake_assets.errors import Incurable, LakeError
from lake_assets.local_files import sync_files

if TYPE_CHECKING:
    import duckdb

ROWS_PER_GROUP = 122_880
# The session for checks of each session that conforms.
_LOCKED: "WeakKeyDictionary[duckdb.DuckDBPyConnection, duckdb.DuckDBPyConnection]" = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class ConformRun:
    """One conform: `out` is a bucket URL, `loaded_at` ISO 8601 with an offset."""

    asset: Asset
    out: str
    run_id: str
    loaded_at: str


@dataclass(frozen=True, slots=True)
class WindowPart:
    """Counts and files of the rows of one window on one connection; files are named as DuckDB takes them."""

    window: str
    partitions: tuple[PartitionCount, ...]
    good_files: tuple[str, ...]
    quarantine_files: tuple[str, ...]
    unknown: tuple[UnknownField, ...] = ()
    conflicts: int = 0


def write_windows(
    session: "duckdb.DuckDBPyConnection", run: ConformRun, name: str, good_rows: str | None = None
) -> list[WindowPart]:
    """Find duplicates in `judged`, and write each window's good and quarantined rows to files that start with `name`.

    `good_rows` is the SELECT for staging, if it is not the plain one over the view `good`.
    """
    asset = run.asset
    good_rows = good_rows or good_select(asset, run.loaded_at)
    session.execute(dropped_table(asset))
    session.execute(GOOD_VIEW)
    counts: defaultdict[str, list[PartitionCount]] = defaultdict(list)
    for start, *numbers in session.execute(COUNTS).fetchall():
        counts[window_key(start, asset.window)].append(PartitionCount(*numbers))
    unknown: defaultdict[str, list[UnknownField]] = defaultdict(list)
    for start, *values in session.execute(UNKNOWN).fetchall():
        unknown[window_key(start, asset.window)].append(UnknownField(*values))
    conflicting: dict[str, int] = {}
    if asset.key and any(c.duplicates > c.redelivered for of_window in counts.values() for c in of_window):
        for start, number in session.execute(conflicts(asset)).fetchall():
            conflicting[window_key(start, asset.window)] = number
    complete: list[str] = []
    parts: list[WindowPart] = []
    try:
        for window, partitions in counts.items():
            good_file, bad_file = window_files(run.out, asset, window, name)
            start = f"_window = timestamptz {literal(window_start(window, asset.window).isoformat())}"
            good = f"{good_rows}\nwhere {start}"
            bad = f"{quarantine_select(asset, run.run_id, run.loaded_at)}\n  and {start}"
            good_files = copy(session, good, good_file, durable=False) if any(p.good for p in partitions) else ()
            complete += good_files
            bad_files = copy(session, bad, bad_file, durable=False) if any(p.quarantined for p in partitions) else ()
            complete += bad_files
            parts.append(
                WindowPart(
                    window, tuple(partitions), good_files, bad_files, tuple(unknown[window]), conflicting.get(window, 0)
                )
            )
        if is_local(run.out):
            sync_files([Path(path) for path in complete], Path(local_path(run.out)))
    except Exception:
        # No table will reference them, and in a full bucket they would take the space of the next attempt.
        for url in complete:
            with suppress(OSError, RuntimeError):
                remove(url)
        raise
    return parts


def window_folder(out: str, asset: Asset, window: str) -> str:
    """Return the folder of a window's files, below `out`."""
    return f"{out}/{asset.dataset}/v{asset.major}/{window_path(window)}"


def window_files(out: str, asset: Asset, window: str, name: str) -> tuple[str, str]:
    """Return the URLs of a window's two files of that name, for good and for quarantined rows."""
    file = f"{window_folder(out, asset, window)}/{name}"
    return f"{file}.parquet", f"{file}.quarantine.parquet"


def copy(session: "duckdb.DuckDBPyConnection", select: str, url: str, *, durable: bool = True) -> tuple[str]:
    """Copy a SELECT to one Parquet file, and return its name as DuckDB takes it. Raises Unavailable."""
    import duckdb

    try:
        with written(url, durable=durable) as path:
            session.execute(
                f"copy (\n{select}\n) to {literal(str(path))} "
                f"(format parquet, compression zstd, row_group_size {ROWS_PER_GROUP})"
            )
    except (OSError, RuntimeError, duckdb.IOException) as error:
        raise unusable(url.rpartition("/")[0], error) from error
    return (local_path(url),)


def merge_parts(parts: Sequence[WindowPart]) -> Mapping[str, WindowPart]:
    """Merge the parts of each window; counts of equal topic and partition are added up."""
    windows: defaultdict[str, list[WindowPart]] = defaultdict(list)
    for part in parts:
        windows[part.window].append(part)
    return {window: _merge(window, own) for window, own in windows.items()}


def _merge(window: str, parts: list[WindowPart]) -> WindowPart:
    counts: defaultdict[tuple[str, int], list[PartitionCount]] = defaultdict(list)
    for part in parts:
        for count in part.partitions:
            counts[count.topic, count.partition].append(count)
    unknown: Counter[tuple[str, str]] = Counter()
    for part in parts:
        unknown.update({(field.name, field.type): field.rows for field in part.unknown})
    # Each part has its most frequent ones; together they are no more than one part's.
    most = sorted(unknown.items(), key=lambda entry: (-entry[1], entry[0]))[:MOST_UNKNOWN]
    return WindowPart(
        window,
        tuple(
            PartitionCount(
                topic,
                partition,
                raw=sum(c.raw for c in own),
                good=sum(c.good for c in own),
                quarantined=sum(c.quarantined for c in own),
                duplicates=sum(c.duplicates for c in own),
                redelivered=sum(c.redelivered for c in own),
                min_offset=min(c.min_offset for c in own),
                max_offset=max(c.max_offset for c in own),
            )
            for (topic, partition), own in sorted(counts.items())
        ),
        tuple(sorted(path for part in parts for path in part.good_files)),
        tuple(sorted(path for part in parts for path in part.quarantine_files)),
        tuple(UnknownField(*field, rows) for field, rows in sorted(most)),
        sum(part.conflicts for part in parts),
    )


def judge_checks(session: "duckdb.DuckDBPyConnection", asset: Asset, files: Sequence[str]) -> tuple[CheckOutcome, ...]:
    """Run the contract's checks on one window's good rows. Raises LakeError when a check's query cannot run.

    A check is SQL of a contract: it runs beside `session`, which has the token key and may read files.
    """
    if not asset.checks:
        return ()
    locked = _locked_session(session)
    with _conformed(locked, asset, files):
        return tuple(_judge(locked, check, hide_values=asset.is_confidential) for check in asset.checks)


def _locked_session(session: "duckdb.DuckDBPyConnection") -> "duckdb.DuckDBPyConnection":
    """Return the session for checks that belongs to `session`: it has only the rows that are registered with it.

    It is opened once, which takes 20 ms of CPU, and spills to a folder inside that of `session`.
    """
    import duckdb

    if locked := _LOCKED.get(session):
        return locked
    [(spill, threads)] = session.execute(
        "select current_setting('temp_directory'), current_setting('threads')"
    ).fetchall()
    locked = duckdb.connect(
        config={
            "temp_directory": f"{spill}/checks" if spill else "",
            "threads": threads,
            "python_enable_replacements": False,
        }
    )
    for setting in (
        "timezone = 'UTC'",
        "enable_progress_bar = false",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        locked.execute(f"set {setting}")
    _LOCKED[session] = locked
    return locked


@contextmanager
def _conformed(session: "duckdb.DuckDBPyConnection", asset: Asset, files: Sequence[str]) -> Generator[None]:
    """Provide the relation that checks read."""
    if not files:
        columns = ", ".join(f"cast(null as {c.type}) as {identifier(c.name)}" for c in staging_columns(asset))
        session.execute(f"create or replace temp view conformed as select {columns} where false")
        yield
    else:
        from pyarrow.dataset import dataset

        system, _ = opened(files[0])
        session.register("conformed", dataset([opened(file)[1] for file in files], filesystem=system, format="parquet"))
        yield
        session.unregister("conformed")


def _judge(session: "duckdb.DuckDBPyConnection", check: Check, *, hide_values: bool) -> CheckOutcome:
    """Run one check. With `hide_values`, an error that can quote a value of a row is reported by its kind only."""
    import duckdb

    try:
        row = session.execute(check.query).fetchone()
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        if hide_values and not is_of_sql(error):
            reason = f"{reason.partition(':')[0]} (hidden, as its text can have a confidential value)"
        refusal = Incurable if is_of_sql(error) else LakeError
        raise refusal(f"the query of check '{check.name}' cannot run: {reason}. Correct it in the contract.") from None
    value = None if row is None or row[0] is None else Decimal(str(row[0]))
    return CheckOutcome(check.name, value, value is not None and _holds(value, check), check.blocking)


def is_of_sql(error: "duckdb.Error") -> bool:
    """Return whether DuckDB refuses the statement itself, which no other data and no later try can change."""
    import duckdb

    refused = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.SyntaxException)
    return isinstance(error, refused)


def _holds(value: Decimal, check: Check) -> bool:
    low, high = check.bounds[0], check.bounds[-1]
    return {
        "=": value == low,
        "!=": value != low,
        "<": value < low,
        "<=": value <= low,
        ">": value > low,
        ">=": value >= low,
        "between": low <= value <= high,
        "not between": not low <= value <= high,
    }[check.operator]
