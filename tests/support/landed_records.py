"""Helpers that apply assets, wait for landed records, and read them back."""

from dataclasses import dataclass
from datetime import datetime

import duckdb

from lake_assets.catalog.model import Asset
from lake_assets.compile.raw_table import raw_table
from lake_assets.compile.topic import control_topic, topic_spec
from lake_assets.landing.connect import connector_for, ensure_connector
from lake_assets.landing.files import files, window_rows
from lake_assets.landing.raw_catalog import pointers
from lake_assets.landing.raw_tables import ensure_raw_tables
from lake_assets.landing.topics import ensure_topics
from lake_assets.settings import Settings
from tests.support.conditions import wait_until


@dataclass(frozen=True, order=True)
class Record:
    """A record as the raw table holds it."""

    partition: int
    offset: int
    payload: bytes | None
    key: bytes | None
    timestamp: datetime


def apply(settings: Settings, *assets: Asset, domain: str | None = None) -> None:
    """Raw tables before topics, and topics before the domain's connector, which is left out without a domain."""
    ensure_raw_tables(settings, [raw_table(asset) for asset in assets])
    ensure_topics(settings, [topic_spec(asset) for asset in assets])
    if domain:
        ensure_topics(settings, [control_topic(domain)])
        ensure_connector(settings, connector_for(settings, domain, assets))


def wait_for_rows(settings: Settings, asset: Asset, count: int) -> None:
    """Return when so many rows are in raw; fail when there are more. The table is read when it has changed only."""
    identifier = raw_table(asset).identifier
    seen: dict[str, int] = {}

    def are_there() -> bool:
        pointer = pointers(settings, [identifier]).get(identifier, "")
        if pointer not in seen:
            seen[pointer] = row_count(settings, asset)
        return seen[pointer] >= count

    wait_until(are_there)
    found = row_count(settings, asset)
    assert found == count, f"{found} rows instead of {count}"


def row_count(settings: Settings, asset: Asset) -> int:
    return sum(window_rows(settings, asset).values())


def read_raw(settings: Settings, asset: Asset) -> list[Record]:
    """All records that the current snapshot names, in the order of the topic."""
    found = files(settings, asset, window_rows(settings, asset))
    paths = [file.path for window in found.by_window.values() for file in window]
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        rows = connection.execute(
            "select _partition, _offset, payload, _key, _timestamp from read_parquet($1) order by _partition, _offset",
            [paths],
        ).fetchall()
    return [Record(*row) for row in rows]
