"""`lake replay`: judge events in quarantine again by rebuilding their windows like any other window."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from lake_assets.catalog.model import Asset
from lake_assets.catalog.windows import window_form
from lake_assets.duckdb_session import duckdb_session
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger, Pending
from lake_assets.ledger.window_states import window_states
from lake_assets.operations.adapters import warehouse_for
from lake_assets.settings import Settings

if TYPE_CHECKING:
    import pyarrow

_PLACE = ("_window", "topic", "partition", "offset")
_VERDICT = (*_PLACE, "errors", "contract_version", "run_id", "first_seen")


@dataclass(frozen=True, slots=True)
class Broken:
    """Rows that broke one rule of one field, and the number of their windows.

    A row that broke two rules is counted under both.
    """

    code: str
    field: str | None
    rows: int
    windows: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Windows that a replay rebuilds, and all `rows` of their quarantine.

    The rows broke the rules in `broken`, most rows first. `held_back` are windows among them that a check keeps from
    being published: quarantine has their last published state.
    """

    windows: tuple[str, ...]
    rows: int
    broken: tuple[Broken, ...]
    held_back: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replayed:
    """Result of a replay, in rows.

    `passed` are in staging now. `repeats` broke no rule either, but staging has a later event of the same key.
    `failing` are still in quarantine, by the rules in `broken`. `held_back` has the failed checks by window, `failed`
    the causes by step.
    """

    windows: tuple[str, ...]
    passed: int
    repeats: int
    failing: int
    broken: tuple[Broken, ...]
    held_back: Mapping[str, tuple[str, ...]]
    failed: Mapping[str, str]


def select(settings: Settings, asset: Asset, code: str | None, window: str | None, where: str | None) -> Selection:
    """Return the windows with rows in quarantine that match all arguments, as of now. Changes nothing.

    `where` is a condition in SQL, see `matching`. Without `code` and `where`, windows that are held back are included.
    Raises LakeError when `where` is no condition, Unavailable.
    """
    with Ledger(settings) as ledger:
        if not ledger.exists():
            raise LakeError("nothing is applied yet: run `lake apply` first.")
        states = window_states(ledger, asset, None if window is None else [window])
    windows = [name for name, state in states.items() if state.published and state.published.quarantined]
    held_back = {name for name, state in states.items() if state.held_back}
    quarantined = warehouse_for(settings).rows(
        asset, "quarantine", windows, (*_VERDICT, *(("key", "payload") if where else ()))
    )
    chosen = {*windows, *held_back} if code is None and where is None else matching(asset, quarantined, code, where)
    rows, broken = summary(asset, quarantined, chosen)
    return Selection(tuple(sorted(chosen)), rows, broken, tuple(sorted(chosen & held_back)))


def replay(
    settings: Settings, asset: Asset, selection: Selection, build: Callable[[Sequence[Pending]], Mapping[str, str]]
) -> Replayed:
    """Queue the windows of the selection, and let `build` bring them up to date; it returns failures by step.

    After a crash the windows are still queued, and the running stack or the next `lake run` builds them.
    Raises Unavailable.
    """
    windows = selection.windows
    warehouse = warehouse_for(settings)
    before = warehouse.rows(asset, "quarantine", windows, _PLACE)
    with Ledger(settings) as ledger:
        ledger.queue_windows(asset, windows)
        pending = [entry for entry in ledger.pending([asset.name]) if entry.window in windows]
    failed = build(pending)
    with Ledger(settings) as ledger:
        held_back = {entry.window: tuple(entry.checks) for entry in ledger.held_back(asset) if entry.window in windows}
    after = warehouse.rows(asset, "quarantine", windows, _VERDICT)
    good = warehouse.rows(asset, "staging", windows, ("_window", "_kafka_partition", "_offset"))
    with duckdb_session() as session:
        for name, table in (("before", before), ("after", after), ("good", good)):
            session.register(name, table)
        # Rows that landed in the meantime were not in quarantine before, and are not counted.
        still = session.execute(
            'select * from "after" semi join "before" using (_window, partition, "offset")'
        ).to_arrow_table()
        passed = session.execute(
            'select count(*) from "before" as b semi join good as g '
            'on b._window = g._window and b.partition = g._kafka_partition and b."offset" = g._offset'
        ).fetchall()[0][0]
    failing, broken = summary(asset, still, windows)
    return Replayed(windows, passed, before.num_rows - passed - failing, failing, broken, held_back, failed)


def matching(asset: Asset, quarantined: "pyarrow.Table", code: str | None, where: str | None) -> set[str]:
    """Return the windows of quarantined rows that broke the rule `code` and match `where`.

    `where` sees one row for each broken rule: `_window` (text, as Dagster names it), `topic`, `partition`, `offset`,
    `key` and `payload` (text, null when they are not UTF-8), `code`, `field`, `value`, `message`, `contract_version`,
    `run_id`, `first_seen`. It can read nothing else. Raises LakeError when it is not a condition over these.
    """
    with _rules(asset, quarantined) as session:
        # A condition may name neither files nor Python's variables.
        session.execute(
            "set python_enable_replacements = false; set enable_external_access = false; set lock_configuration = true"
        )
        condition = "true" if where is None else f"(\n{where}\n)"
        try:
            if len(session.extract_statements(f"select {condition}")) != 1:
                raise LakeError("--where takes one condition, such as \"field = 'amount'\", and no further statement.")
            rows = session.execute(
                f"select distinct _window from broken where ($1 is null or code = $1) and {condition}", [code]
            ).fetchall()
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0].rstrip(".!")
            columns = ", ".join(name for name, *_ in session.execute("describe broken").fetchall())
            raise LakeError(f"--where is no condition over {columns}: {reason}.") from error
        return {window for (window,) in rows}


def summary(asset: Asset, quarantined: "pyarrow.Table", windows: Collection[str]) -> tuple[int, tuple[Broken, ...]]:
    """Return the number of rows in these windows, and the rules that they broke, most rows first."""
    with _rules(asset, quarantined) as session:
        broken = session.execute(
            'select code, field, count(distinct (partition, "offset")) as rows, count(distinct _window) '
            "from broken where _window in (select unnest($1::text[])) group by all order by rows desc, code, field",
            [list(windows)],
        ).fetchall()
        rows = session.execute(
            'select count(distinct (partition, "offset")) from broken where _window in (select unnest($1::text[]))',
            [list(windows)],
        ).fetchall()
    return rows[0][0], tuple(Broken(*row) for row in broken)


@contextmanager
def _rules(asset: Asset, quarantined: "pyarrow.Table") -> Generator[duckdb.DuckDBPyConnection]:
    """Open a session with the table `broken`, which has one row for each rule that a row broke."""
    texts = {name: f"try(decode({name})) as {name}" for name in ("key", "payload")}
    listed = ", ".join(
        texts.get(name, f'"{name}"') for name in quarantined.column_names if name not in ("_window", "errors")
    )
    form = window_form(asset.window)
    with duckdb_session() as session:
        session.register("quarantined", quarantined)
        session.execute(
            f"create temp table broken as select strftime(_window, '{form}') as _window, {listed}, unnest(error) "
            "from (select * exclude (errors), unnest(errors) as error from quarantined)"
        )
        session.unregister("quarantined")
        yield session
