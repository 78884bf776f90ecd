"""A DuckDB session for drafts of models, with less than the lake's own: no confidential column, and no other database.

`lake` has views of the staging tables that the draft reads, `serving` the marts with the rights of role `analyst`.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import duckdb

from lake_assets.catalog.model import Asset
from lake_assets.compile.preview_view import preview_view
from lake_assets.compile.sql import identifier
from lake_assets.settings import Settings
from lake_assets.warehouse.local.connection import attach, connect, lock_session
from lake_assets.warehouse.results import QueryError

# The DuckLake behind the views. The judge of drafts refuses queries that name it.
STAGED = "staged"
Session = duckdb.DuckDBPyConnection


@contextmanager
def preview_session(settings: Settings, assets: Iterable[Asset]) -> Generator[Session]:
    """Open a locked session with these assets' views. Raises Unavailable; DuckDB's errors become QueryError."""
    session = connect(settings, read_only=True, lake=False, role="analyst")
    try:
        attach(session, settings, read_only=True, role="engineer", name=STAGED)
        with one_sentence():
            make_views(session, assets)
            lock_session(session, settings.bucket)
            yield session
    finally:
        session.close()


def make_views(session: Session, assets: Iterable[Asset]) -> None:
    """Create the database `lake` with a view of each asset's staging table, which is in the database `staged`."""
    session.execute("attach ':memory:' as lake")
    for asset in assets:
        session.execute(f"create schema if not exists lake.{identifier(asset.staging_schema)}")
        session.execute(preview_view(asset, STAGED))


@contextmanager
def one_sentence() -> Generator[None]:
    """Raise an error of DuckDB as a QueryError of one sentence."""
    try:
        yield
    except duckdb.Error as error:
        message = " ".join(str(error).split("\nLINE ")[0].split())
        raise QueryError(message if message.endswith("?") else f"{message.rstrip('.!')}.") from error
