"""The catalog of the raw tables: in the lake's Postgres, on AWS in Glue."""

import time
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from lake_assets.aws import aws_endpoint, client, refusals
from lake_assets.compile.connector import CATALOG, glue_catalog, jdbc_catalog
from lake_assets.errors import LakeError, Unavailable
from lake_assets.settings import Settings

if TYPE_CHECKING:
    from pyiceberg.catalog import MetastoreCatalog

# Namespace and name.
Identifier = tuple[str, str]


class RawTableError(LakeError):
    """A raw table is missing or unreadable, or has content or partitions that the lake cannot use."""


@contextmanager
def raw_catalog(settings: Settings) -> Generator["MetastoreCatalog"]:
    """Provide the raw catalog as role `lake`, closed afterwards.

    Raises Unavailable when it does not answer, RawTableError when the metadata of a table is damaged.
    """
    from pyiceberg.exceptions import ValidationError
    from sqlalchemy.exc import OperationalError

    with _glue() if settings.target == "aws" else _postgres(settings, OperationalError):
        catalog = _glue_catalog(settings) if settings.target == "aws" else _sql_catalog(settings)
        try:
            yield catalog
        except ValidationError as error:
            raise RawTableError(f"the metadata of a raw table cannot be read: {str(error).splitlines()[0]}") from error
        finally:
            catalog.close()


def pointers(settings: Settings, tables: Collection[Identifier]) -> dict[Identifier, str]:
    """Return the metadata file of each of these raw tables that exists. Raises Unavailable.

    This takes one query; on AWS it takes one call for a hundred tables of a domain.
    """
    if settings.target == "aws":
        with _glue():
            return _pointers_in_glue(tables)
    with _postgres(settings):
        return _pointers_in_postgres(settings, tables)


@contextmanager
def raw_commits(settings: Settings) -> Generator[Callable[[float], bool]]:
    """Provide a function that waits for a commit to a raw table, at most so many seconds, and returns if there was one.

    A commit since the last call, or since the beginning, ends it at once. AWS's catalog does not notify. Raises
    Unavailable.
    """
    if settings.target == "aws":
        yield _sleep
        return
    import psycopg

    with _postgres(settings), psycopg.connect(settings.postgres.conninfo("lake"), autocommit=True) as connection:
        # See `stack/roles.py`, which creates the trigger.
        connection.execute("listen raw_commits")

        def wait(seconds: float) -> bool:
            return any(True for _ in connection.notifies(timeout=seconds, stop_after=1))

        yield wait


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def sink_catalog(settings: Settings) -> Mapping[str, str]:
    """Return the properties of the catalog for Kafka Connect's sink, without any secret."""
    if settings.target == "aws":
        return glue_catalog(aws_endpoint("glue"))
    return jdbc_catalog(settings.postgres.jdbc_url(CATALOG), "connect", settings.connect_password)


def _sql_catalog(settings: Settings) -> "MetastoreCatalog":
    from pyiceberg.catalog.sql import SqlCatalog

    from lake_assets.landing.iceberg_files import FILES

    uri = settings.postgres.url("lake", "postgresql+psycopg", options=f"-csearch_path={CATALOG}")
    return SqlCatalog(CATALOG, uri=uri, warehouse=settings.raw_warehouse, **FILES)


def _glue_catalog(settings: Settings) -> "MetastoreCatalog":
    from pyiceberg.catalog.glue import GlueCatalog

    from lake_assets.landing.iceberg_files import FILES

    return GlueCatalog(CATALOG, client("glue"), warehouse=settings.raw_warehouse, **FILES)


def _pointers_in_postgres(settings: Settings, tables: Collection[Identifier]) -> dict[Identifier, str]:
    import psycopg

    with psycopg.connect(settings.postgres.conninfo("lake")) as connection:
        rows = connection.execute(
            f"select table_namespace, table_name, metadata_location from {CATALOG}.iceberg_tables "
            "join unnest(%s::text[], %s::text[]) as wanted (table_namespace, table_name) "
            "using (table_namespace, table_name) where catalog_name = %s and metadata_location is not null",
            [[namespace for namespace, _ in tables], [name for _, name in tables], CATALOG],
        ).fetchall()
    return {(namespace, name): location for namespace, name, location in rows}


def _pointers_in_glue(tables: Collection[Identifier]) -> dict[Identifier, str]:
    glue = client("glue")
    locations: dict[Identifier, str] = {}
    for namespace in sorted({namespace for namespace, _ in tables}):
        try:
            for page in glue.get_paginator("get_tables").paginate(DatabaseName=namespace):
                for table in page["TableList"]:
                    if location := table.get("Parameters", {}).get("metadata_location"):
                        locations[namespace, table["Name"]] = location
        except glue.exceptions.EntityNotFoundException:
            continue
    return {table: locations[table] for table in tables if table in locations}


@contextmanager
def _postgres(settings: Settings, *further: type[Exception]) -> Generator[None]:
    """Raise Unavailable for psycopg's error that Postgres does not answer, and for `further` ones."""
    import psycopg

    if settings.postgres.port == 0:
        raise Unavailable("this lake has no Postgres yet: start it with `lake up`.")
    try:
        yield
    except (psycopg.OperationalError, *further) as error:
        raise settings.postgres.not_reached(error) from error


def _glue() -> AbstractContextManager[None]:
    return refusals("AWS Glue", "your credentials and their permissions on the raw tables' databases")
