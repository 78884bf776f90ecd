"""DuckDB sessions without a database: for Parquet in the bucket and Arrow tables."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.settings import lake_home, parallel_runs
from lake_assets.spill import spill_folder, spill_root

if TYPE_CHECKING:
    import duckdb

# UTC, and no progress bar: without a main file a query of more than two seconds would draw one on standard output.
SESSION_SETTINGS = "set timezone = 'UTC'; set enable_progress_bar = false"


@contextmanager
def duckdb_session(scratch: Path | None = None) -> "Iterator[duckdb.DuckDBPyConnection]":
    """Open an in-memory session in UTC with a private folder for spilled data.

    The folder is below `scratch`, or in the lake's home; without a home in the machine's folder for temporary files.
    Session and folder end together. Runs that are parallel share the memory that DuckDB would take for one.
    """
    import duckdb

    # No statement with a parameter: DuckDB would import pandas for it, which takes a third of a second.
    with (
        spill_folder(scratch or _scratch()) as folder,
        duckdb.connect(config={"temp_directory": str(folder)}) as session,
    ):
        session.execute(SESSION_SETTINGS)
        _share_memory(session)
        yield session


def _share_memory(session: "duckdb.DuckDBPyConnection") -> None:
    """Set the session's limit to its part of DuckDB's own, which is most of the machine's or container's memory."""
    size, unit = session.execute("select current_setting('memory_limit')").fetchall()[0][0].split()
    session.execute(f"set memory_limit = '{float(size) / parallel_runs():.3f} {unit}'")


def _scratch() -> Path:
    home = lake_home()
    return spill_root(home) if home.is_dir() else Path(tempfile.gettempdir())
