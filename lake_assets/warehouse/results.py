"""Results of warehouse queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lake_assets.catalog.model import Asset
from lake_assets.compile.sql import identifier
from lake_assets.errors import LakeError

if TYPE_CHECKING:
    import pyarrow
    from duckdb import DuckDBPyConnection


class QueryError(LakeError):
    """The warehouse refused the query; the message is its own, in one sentence."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """A query's rows; `more` is True if there are more than the limit. A statement without result has no columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    more: bool


@dataclass(frozen=True, slots=True)
class Reason:
    """Rows of one asset that broke one rule of one field. `sample` is one offending value, at most 200 characters."""

    asset: str
    code: str
    field: str | None
    message: str
    rows: int
    windows: int
    sample: str | None


def limit_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]], limit: int | None) -> QueryResult:
    """Return the first `limit` of these rows, which should be one more if there are more; bytes become text."""
    more = limit is not None and len(rows) > limit
    return QueryResult(tuple(columns), [[_readable(value) for value in row] for row in rows[:limit]], more)


def _readable(value: Any) -> Any:
    """Decode payloads and keys: bytes that mostly contain text."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def load_temp_table(session: "DuckDBPyConnection", asset: Asset, rows: "pyarrow.Table") -> str:
    """Load staging rows into a temporary table of the session, and return its name as SQL. It may spill to disk."""
    name = identifier(f"{asset.name}_staging")
    session.register("fetched_rows", rows)
    session.execute(f"create or replace temp table {name} as from fetched_rows")
    session.unregister("fetched_rows")
    return name
