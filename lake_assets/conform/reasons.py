"""Rules that the rows of quarantine files broke, before anything reads those files."""

from collections.abc import Sequence

from lake_assets.bucket import let_read
from lake_assets.compile.sql import literal
from lake_assets.duckdb_session import duckdb_session


def broken_rules(files: Sequence[str]) -> list[tuple[str, str | None, int]]:
    """Return rule, field and rows, most rows first. The files are named as DuckDB takes them."""
    if not files:
        return []
    listed = ", ".join(literal(path) for path in files)
    with duckdb_session() as session:
        let_read(session, files[0])
        return session.execute(
            "select error.code, error.field, count(*) as rows "
            f"from (select unnest(errors) as error from read_parquet([{listed}])) group by all "
            "order by rows desc, error.code, error.field"
        ).fetchall()
