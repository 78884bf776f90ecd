"""A contract with every kind of field, and raw files as Kafka Connect would have landed them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lake_assets.catalog.model import Asset, Field, FieldType
from lake_assets.catalog.window_results import WindowOutput

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

ORDERS = Asset(
    dataset="orders",
    domain="shop",
    version="1.2.0",
    description="Orders.",
    owners=("shop@example.com",),
    fields=(
        Field("order_id", FieldType("string"), required=True, max_length=8),
        Field("region", FieldType("string"), enum=("north", "south")),
        Field("quantity", FieldType("integer"), minimum=Decimal(1), maximum=Decimal(10)),
        Field("amount", FieldType("decimal", 12, 2)),
        Field("weight", FieldType("double")),
        Field("gift", FieldType("boolean")),
        Field("code", FieldType("string"), pattern="[A-Z]+[0-9]+", min_length=3),
        Field("due", FieldType("date")),
        Field("seen", FieldType("timestamp"), format="dd.MM.yyyy HH:mm"),
        Field("sent", FieldType("timestamp"), format="epoch_millis"),
        Field("detail", FieldType("json")),
        Field("ordered_at", FieldType("timestamp"), required=True),
    ),
    key=("order_id",),
    event_time="ordered_at",
    topic="shop.orders",
)


@dataclass(frozen=True)
class Record:
    """One Kafka record as the raw table holds it."""

    payload: bytes | None
    partition: int = 0
    offset: int | None = None
    timestamp: datetime | None = NOON
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True)
class Conformed:
    """Result of one conform: its outputs, the good rows and the quarantined ones, each in offset order."""

    outputs: tuple[WindowOutput, ...]
    good: list[dict[str, Any]]
    quarantined: list[dict[str, Any]]


_HEADERS = pa.list_(pa.struct([("name", pa.string()), ("value", pa.binary())]))


def write_raw(path: Path, records: Sequence[Record], topic: str = "shop.orders") -> None:
    """A raw file as the sink writes it; without any headers as older sinks did, which had no column for them."""
    offsets = [i if r.offset is None else r.offset for i, r in enumerate(records)]
    table = pa.table(
        {
            "payload": pa.array([r.payload for r in records], pa.binary()),
            "_topic": pa.array([topic] * len(records)),
            "_partition": pa.array([r.partition for r in records], pa.int32()),
            "_offset": pa.array(offsets, pa.int64()),
            "_timestamp": pa.array([r.timestamp for r in records], pa.timestamp("us", tz="UTC")),
            "_key": pa.array([r.key for r in records], pa.binary()),
        }
    )
    headers = [[{"name": name, "value": value} for name, value in r.headers] or None for r in records]
    if any(headers):
        table = table.append_column("_headers", pa.array(headers, _HEADERS))
    pq.write_table(table, path)
