"""The contract's own rules, for payloads that are not surely good: the batch path's SQL, on a few records."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.compile.judge import judge_sql
from lake_assets.compile.sql import identifier
from stream_app.columns import Columns, measured_fields, needed_fields

Transform = Callable[[dict[str, Any]], Mapping[str, Any] | None]
TRANSFORM_FAILED = "transform"
_SCHEMA = pa.schema(
    [
        ("payload", pa.binary()), ("_key", pa.binary()), ("_topic", pa.string()), ("_partition", pa.int32()),
        ("_offset", pa.int64()), ("_timestamp", pa.timestamp("us", "UTC")),
    ]
)  # fmt: skip


class TransformError(Exception):
    """The function named in the metric cannot be loaded, or returned what the metric has no column for."""


class Message(Protocol):
    """What is taken from a Kafka message."""

    def value(self) -> bytes | None: ...
    def timestamp(self) -> tuple[int, int]: ...


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that breaks a rule: its place in the batch, and the stable error codes."""

    position: int
    codes: tuple[str, ...]


class Judge:
    """Judges records for one metric. Holds a DuckDB of its own; not safe for threads."""

    def __init__(self, asset: Asset, metric: Metric) -> None:
        self._metric = metric
        self._measured = measured_fields(metric)
        self._transform = load_transform(metric.transform) if metric.transform else None
        self._names = tuple(dict.fromkeys((*needed_fields(metric), *asset.key)))
        if self._transform:
            self._names = tuple(field.name for field in asset.fields)
        self._scale = {m.field: m.scale for m in metric.measures if m.field}
        self._keys = asset.key
        columns = ", ".join(identifier(name) for name in self._names)
        self._session = duckdb.connect()
        self._session.execute("set threads = 1; set TimeZone = 'UTC'")
        self._query = (
            f"select _offset, list_transform(_errors, lambda e: e.code), "
            f"epoch_ms({identifier(asset.event_time)}), {columns}\n"
            f"from (\n{judge_sql(asset, 'records')}\n) order by _offset"
        )

    def judge(self, messages: Sequence[Message], positions: Sequence[int]) -> tuple[Columns, list[Refused]]:
        """The good ones among `positions` as columns, and the others with their codes. Nothing is dropped."""
        records = pa.Table.from_arrays(
            [
                pa.array([messages[at].value() for at in positions], pa.binary()),
                pa.nulls(len(positions), pa.binary()),
                pa.array([""] * len(positions)),
                pa.array([0] * len(positions), pa.int32()),
                pa.array(positions, pa.int64()),
                pa.array([_moment(messages[at]) for at in positions], pa.timestamp("us", "UTC")),
            ],
            schema=_SCHEMA,
        )
        self._session.register("records", records)
        columns = Columns([], [], [], [[] for _ in self._measured], [] if self._keys else None, 0)
        refused: list[Refused] = []
        for position, codes, time, *values in self._session.execute(self._query).fetchall():
            if codes is not None:
                refused.append(Refused(position, tuple(dict.fromkeys(codes))))
                continue
            columns.newest = max(columns.newest, time)
            event: Mapping[str, Any] | None = dict(zip(self._names, values, strict=True))
            if self._transform:
                try:
                    event = self._transform(dict(event))
                except Exception:
                    refused.append(Refused(position, (TRANSFORM_FAILED,)))
                    continue
            if event is not None and all(event[f.field] in f.values for f in self._metric.filters):
                self._add(columns, position, time, event)
        self._session.unregister("records")
        return columns, refused

    def _add(self, columns: Columns, position: int, time: int, event: Mapping[str, Any]) -> None:
        length = self._metric.window_ms
        columns.positions.append(position)  # type: ignore[union-attr]
        columns.groups.append(tuple(event[group.name] for group in self._metric.groups))
        columns.windows.append(time // length * length)
        for column, name in zip(columns.values, self._measured, strict=True):
            column.append(int(event[name].scaleb(self._scale[name])) if self._scale[name] else int(event[name]))
        if columns.keys is not None:
            key = tuple(event[name] for name in self._keys)
            columns.keys.append(key[0] if len(key) == 1 else key)


def load_transform(name: str) -> Transform:
    """The function that a metric names as `module:function`. Raises TransformError."""
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise TransformError(f"the transform '{name}' cannot be loaded: {error}.") from None


def _moment(message: Message) -> datetime | None:
    kind, milliseconds = message.timestamp()
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if kind else None
