"""SQL that compares two states of a mart by its grain: rows added, removed and changed, column by column. Pure.

Both states are tables of one DuckDB session. Values are compared in the type of the shared mart's column: the draft's
SQL has not been through a table with declared types yet. A value that does not fit that type counts as changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lake_assets.compile.sql import identifier, literal


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two tables, by names that are SQL already; `types` are the shared types of the columns that both have."""

    draft: str
    shared: str
    grain: tuple[str, ...]
    types: Mapping[str, str]

    @property
    def values(self) -> tuple[str, ...]:
        """Return the columns to compare: those of both tables that are not part of the grain."""
        return tuple(name for name in self.types if name not in self.grain)


def repeated_keys(table: str, grain: Sequence[str]) -> str:
    """Return a query for the number of keys that a table has more than once."""
    keys = ", ".join(map(identifier, grain))
    return f"select count(*) from (select 1 from {table} group by {keys} having count(*) > 1)"


def row_counts(comparison: Comparison) -> str:
    """Return a query for one row: rows added, removed, changed and equal, then changed rows of each value column."""
    differs = {name: f"({_both()} and {_differs(comparison, name)})" for name in comparison.values}
    changed = " or ".join(differs.values()) or "false"
    counts = [
        "s._there is null",
        "d._there is null",
        changed,
        f"{_both()} and not ({changed})",
        *differs.values(),
    ]
    selected = ",\n  ".join(f"count(*) filter (where {condition})" for condition in counts)
    return f"select\n  {selected}\nfrom {_joined(comparison)}"


def sample_rows(comparison: Comparison, limit: int) -> str:
    """Return a query for samples, `limit` of each kind: kind, the key's values, column, shared value, draft value.

    Kinds are `added`, `removed` and `changed`; a changed row has a sample for each column that differs.
    """
    keys = ", ".join(f"coalesce(d.{k}, s.{k})::varchar" for k in _typed_keys(comparison))
    parts = [
        ("added", "s._there is null", None),
        ("removed", "d._there is null", None),
        *(("changed", f"{_both()} and {_differs(comparison, name)}", name) for name in comparison.values),
    ]
    selects: list[str] = []
    for kind, condition, name in parts:
        shown = f"{literal(name)}, s.{identifier(name)}::varchar, d.{identifier(name)}::varchar" if name else ""
        selects.append(
            f"(select {literal(kind)}, {keys}, {shown or 'null, null, null'} from {_joined(comparison)}\n"
            f" where {condition} order by all limit {limit})"
        )
    return "\nunion all\n".join(selects)


def _typed_keys(comparison: Comparison) -> list[str]:
    return [identifier(name) for name in comparison.grain]


def _both() -> str:
    return "d._there and s._there"


def _differs(comparison: Comparison, name: str) -> str:
    column, kind = identifier(name), comparison.types[name]
    # A value that the type cannot hold becomes null there, which would equal a null of the shared mart.
    lost = f"(d.{column} is not null and try_cast(d.{column} as {kind}) is null)"
    return f"(try_cast(d.{column} as {kind}) is distinct from s.{column} or {lost})"


def _joined(comparison: Comparison) -> str:
    same = " and ".join(f"d.{k} is not distinct from s.{k}" for k in _typed_keys(comparison))
    return (
        f"(select *, true as _there from {comparison.draft}) as d "
        f"full join (select *, true as _there from {comparison.shared}) as s on {same}"
    )
