"""Real rows for drafts of models: a preview of one, and its difference from the shared mart.

An analyst who may do this reads no more than a mart of theirs could show: staging tables without confidential columns,
and marts. Each use is in the ledger before any row is read.
"""

import os
import pwd
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from lake_assets.compile.mart_diff import Comparison, repeated_keys, row_counts, sample_rows
from lake_assets.compile.preview_view import hidden_keys
from lake_assets.compile.sql import identifier
from lake_assets.dbt.drafts import Draft, compile_draft
from lake_assets.errors import LakeError
from lake_assets.ledger.applied import read_applied
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.previews import Use, recorded
from lake_assets.settings import Settings
from lake_assets.warehouse.local.preview_session import Session, preview_session
from lake_assets.warehouse.results import QueryResult, limit_rows


class PreviewError(LakeError):
    """A preview or a difference that may not or cannot be made; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A row that differs: `added`, `removed`, or `changed` in one column. `key` has the values of the grain."""

    kind: str
    key: tuple[str | None, ...]
    column: str | None
    shared: str | None
    draft: str | None


@dataclass(frozen=True, slots=True)
class MartDiff:
    """Differences of a draft from the shared mart, as numbers of rows. `changed_by_column` has no equal columns."""

    mart: str
    grain: tuple[str, ...]
    added: int
    removed: int
    changed: int
    same: int
    changed_by_column: dict[str, int]
    added_columns: tuple[str, ...]
    removed_columns: tuple[str, ...]
    samples: tuple[Sample, ...]


def preview_model(settings: Settings, model: str, analyst: str, limit: int) -> QueryResult:
    """Return at most `limit` rows of a draft. Raises PreviewError, DraftError, QueryError and Unavailable."""
    with _running(settings, "preview", model, analyst) as (session, draft, use):
        result = session.execute(f"select * from (\n{draft.sql}\n) limit {limit + 1}")
        columns = [column[0] for column in result.description or ()]
        answer = limit_rows(columns, result.fetchall(), limit)
        use.rows = len(answer.rows)
        return answer


def diff_mart(settings: Settings, mart: str, analyst: str, limit: int) -> MartDiff:
    """Return the differences of a draft from the shared mart, with `limit` samples of each kind. Raises as a preview.

    Rows are matched by the mart's grain, so each state must have a key once.
    """
    with _running(settings, "diff", mart, analyst) as (session, draft, use):
        if not draft.grain:
            raise PreviewError(f"the model {mart} has no grain: add the data test `grain` with the columns of its key.")
        diff = compare(session, draft, f"serving.{identifier(draft.schema)}.{identifier(draft.table)}", limit)
        use.rows = len(diff.samples)
        return diff


def compare(session: Session, draft: Draft, shared: str, limit: int) -> MartDiff:
    """Return the differences of a draft from a table of the session. Raises PreviewError and DuckDB's errors."""
    # Both are read once, so that all numbers are of the same rows.
    session.execute(f"create temp table _draft as select * from (\n{draft.sql}\n)")
    session.execute(f"create temp table _shared as select * from {shared}")
    draft_types, types = _types(session, "_draft"), _types(session, "_shared")
    for name, columns in (("draft", draft_types), ("shared mart", types)):
        if missing := [column for column in draft.grain if column not in columns]:
            raise PreviewError(f"the {name} of {draft.name} has no column {', '.join(missing)}, which is in its grain.")
        if repeated := _number(session, repeated_keys(f"_{name.split()[0]}", draft.grain)):
            raise PreviewError(
                f"the {name} of {draft.name} has {repeated} keys more than once, so that rows cannot be matched: its "
                f"grain is {', '.join(draft.grain)}."
            )
    common = {column: kind for column, kind in types.items() if column in draft_types}
    comparison = Comparison("_draft", "_shared", draft.grain, common)
    counts = session.execute(row_counts(comparison)).fetchall()[0]
    rows = session.execute(sample_rows(comparison, limit)).fetchall() if limit else []
    return MartDiff(
        f"{draft.schema}.{draft.table}",
        draft.grain,
        *counts[:4],
        changed_by_column={name: n for name, n in zip(comparison.values, counts[4:], strict=True) if n},
        added_columns=tuple(column for column in draft_types if column not in types),
        removed_columns=tuple(column for column in types if column not in draft_types),
        samples=tuple(Sample(kind, tuple(rest[:-3]), *rest[-3:]) for kind, *rest in rows),
    )


def check_analyst(settings: Settings, analyst: str) -> None:
    """Raise PreviewError unless the lake's owner lets this analyst read real rows through drafts."""
    if settings.target != "local":
        raise PreviewError("on a cloud target drafts run with the analysts' own accounts: use `lake-dbt show`.")
    if analyst not in settings.preview_analysts:
        raise PreviewError(
            f"{analyst} may not read real rows through drafts: the lake's owner names those who may in "
            "LAKE_PREVIEW_ANALYSTS."
        )


@contextmanager
def _running(settings: Settings, command: str, model: str, analyst: str) -> Generator[tuple[Session, Draft, Use]]:
    """Check, compile and judge a draft, record its use, and open the session in which it runs."""
    check_analyst(settings, analyst)
    with Ledger(settings) as ledger:
        draft = compile_draft(settings, model, list(read_applied(ledger).assets.values()))
        for asset in draft.assets:
            if hidden := hidden_keys(asset):
                raise PreviewError(
                    f"{model} reads {asset.name}, whose key is confidential ({', '.join(hidden)}): its latest rows "
                    "cannot be selected without that. Use unit tests instead."
                )
        use = Use(analyst, _os_user(), command, model, draft.sql)
        with recorded(ledger, use), preview_session(settings, draft.assets) as session:
            yield session, draft, use


def _os_user() -> str:
    """Return the name of this process's user, not of a variable that the caller can set."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without an entry
        return str(os.getuid())


def _types(session: Session, table: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in session.execute(f"describe {table}").fetchall()}


def _number(session: Session, query: str) -> int:
    return session.execute(query).fetchall()[0][0]
