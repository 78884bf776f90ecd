"""Uses of `lake preview` and `lake diff`: who read real rows through which draft, and how many."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from lake_assets.ledger.ledger import Ledger


@dataclass(slots=True)
class Use:
    """One use of a command, `preview` or `diff`. `rows` is the number of rows shown, None until they are known."""

    analyst: str
    os_user: str
    command: str
    model: str
    query: str
    rows: int | None = None


@contextmanager
def recorded(ledger: Ledger, use: Use) -> Generator[Use]:
    """Record a use before any row is read, and its rows at the end. A use that fails stays, without rows."""
    row = ledger.connection.execute(
        "insert into ledger.preview (analyst, os_user, command, model, query) values (%s, %s, %s, %s, %s) returning id",
        (use.analyst, use.os_user, use.command, use.model, use.query),
    ).fetchone()
    assert row is not None
    yield use
    ledger.connection.execute(
        "update ledger.preview set rows = %s, ended_at = clock_timestamp() where id = %s", (use.rows, row[0])
    )
