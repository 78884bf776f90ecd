"""Sessions of DuckDB that know no database: for Parquet in the bucket and tables of Arrow."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

# Where Python has no main file, a query of more than two seconds draws a bar on standard output.
SILENT = "set enable_progress_bar = false"


@contextmanager
def duckdb_session(scratch: Path | None = None) -> "Iterator[duckdb.DuckDBPyConnection]":
    """An in-memory session in UTC. What it spills goes into a folder of its own, which nobody else may read: below
    `scratch`, a folder that exists, or the machine's folder for temporary files. Both end with it."""
    import duckdb

    # No statement with a parameter: DuckDB would import pandas for it, which takes a third of a second.
    with (
        tempfile.TemporaryDirectory(prefix="duckdb-", dir=scratch) as folder,
        duckdb.connect(config={"temp_directory": folder}) as session,
    ):
        session.execute("set timezone = 'UTC'")
        session.execute(SILENT)
        yield session
