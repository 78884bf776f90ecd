"""The contract's rules, applied to batches of records: the same SQL as in the batch path, prepared once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from lake_assets.catalog.metric import Filter, GroupValue, Metric
from lake_assets.catalog.model import Asset, Field
from lake_assets.compile.judge import judge_sql
from lake_assets.compile.metric_tables import MOST_GROUP_BYTES, text_bytes
from lake_assets.compile.sql import identifier, judged_column, literal
from lake_assets.duckdb_session import SESSION_SETTINGS
from stream_app.events import (
    COUNTED,
    KEY_BYTES,
    NUMBER,
    POSITION,
    TIME,
    WINDOW,
    group_columns,
    key_columns,
    measured_fields,
    needed_fields,
    value_columns,
)
from stream_app.transform import Transformed, load_transform

_CODES = "_codes"
# Error code of a metric, besides those of the contract's rules.
LONG_GROUP = "long_group"
_PLAIN_KEYS = ("integer", "boolean")


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that breaks a rule: its index in the batch, and the stable error codes."""

    position: int
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A validated batch: every record is a row of `good` or in `refused`.

    `good` is as in `stream_app.events`, with `_time` and `_counted`, in the order of the records.
    """

    good: pa.Table
    refused: list[Refused]


class _Records:
    """The input of the prepared statement: each execution reads the current batch."""

    def __init__(self) -> None:
        self.table: Any = _records([])

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


class Judge:
    """Validates records for one metric. Has its own DuckDB; for one thread at a time."""

    def __init__(self, asset: Asset, metric: Metric) -> None:
        self._names = tuple(dict.fromkeys((*needed_fields(metric), *asset.key)))
        self._transform: Transformed | None = None
        if metric.transform:
            self._transform = Transformed(asset, metric, load_transform(metric.transform))
        self._records = _Records()
        # A batch needs little memory: it never spills, which DuckDB would do into the process's own folder.
        self._session = duckdb.connect(config={"temp_directory": ""})
        # More cores are used by more instances; a batch is too small to be divided.
        self._session.execute(f"set threads = 1; {SESSION_SETTINGS}")
        self._session.register("records", self._records)
        # Prepared, because planning the contract's rules takes longer than validating a small batch.
        self._session.execute(f"prepare judge as {_query(asset, metric)}")

    def close(self) -> None:
        """Release the memory of the DuckDB; `judge` may not be called any more."""
        self._session.close()

    def judge(self, payloads: Sequence[bytes | None], times: Sequence[int] | None = None) -> Judged:
        """Validate records; drops none, and raises nothing for bad input. Other threads continue meanwhile.

        `times` are the records' own, in milliseconds since 1970: needed if the contract uses the time of sending as
        event time.
        """
        self._records.table = _records(payloads, times)
        table = self._session.execute("execute judge").to_arrow_table()
        refused: list[Refused] = []
        codes = table[_CODES]
        if codes.null_count < len(codes):
            bad = table.filter(codes.is_valid())
            rows = bad.select([POSITION, _CODES]).to_pylist()
            refused = [Refused(row[POSITION], tuple(dict.fromkeys(row[_CODES]))) for row in rows]
            table = table.filter(codes.is_null())
        table = table.drop_columns(_CODES)
        if self._transform is None:
            return Judged(_with_numbers(table), refused)
        good, failed = self._transform.apply(table)
        return Judged(good, refused + [Refused(position, ("transform",)) for position in failed])


def _records(payloads: Sequence[bytes | None], times: Sequence[int] | None = None) -> pa.Table:
    """Build the input table. With the event time in the payload, the records' own times are not needed."""
    count = len(payloads)
    timestamps = pa.timestamp("us", "UTC")
    columns: dict[str, Any] = {
        "payload": pa.array(payloads, pa.binary()),
        "_key": pa.nulls(count, pa.binary()),
        "_topic": pa.nulls(count, pa.string()),
        "_partition": pa.nulls(count, pa.int32()),
        "_offset": np.arange(count, dtype=np.int64),
        "_timestamp": pa.array(np.asarray(times) * 1000, timestamps) if times else pa.nulls(count, timestamps),
    }
    return pa.table(columns)


def _query(asset: Asset, metric: Metric) -> str:
    codes = "list_transform(_errors, lambda _e: _e.code)"
    if not metric.transform:
        length = text_bytes(metric, judged_column)
        codes = f"case when _errors is null and {length} > {MOST_GROUP_BYTES} then ['{LONG_GROUP}'] else {codes} end"
    columns = [f"{codes} as {_CODES}", f"_offset as {POSITION}"]
    time = f"epoch_ms({judged_column(asset.event_time_column)})"
    length = metric.window_ms
    # Times before 1970 too, where % is negative.
    columns += [f"{time} as {TIME}", f"{time} - ({time} % {length} + {length}) % {length} as {WINDOW}"]
    if metric.transform:
        columns += [f"{judged_column(field.name)} as {identifier(field.name)}" for field in asset.fields]
    else:
        columns += [f"{_condition(metric.filters)} as {COUNTED}"]
        columns += [
            f"{judged_column(group.name)} as {name}"
            for group, name in zip(metric.groups, group_columns(metric), strict=True)
        ]
        columns += [
            f"cast({judged_column(field)} as decimal(38, {asset.field(field).type.scale or 0})) as {name}"
            for field, name in zip(measured_fields(metric), value_columns(metric), strict=True)
        ]
    # In the form in which they come back from the changelog, which is JSON.
    columns += [
        f"{_key(judged_column(key), asset.field(key))} as {name}"
        for key, name in zip(asset.key, key_columns(asset), strict=True)
    ]
    return f"select {', '.join(columns)} from (\n{judge_sql(asset, 'records')}\n)"


def _key(column: str, field: Field) -> str:
    kind = field.type.name
    if field.is_confidential:
        # `hidden_key`, as SQL: the changelog keeps keys, and anyone who reads topics could read them.
        return f"'sha256:' || sha256(cast({column} as varchar))"
    if kind not in ("string", "json"):
        return column if kind in _PLAIN_KEYS else f"cast({column} as varchar)"
    # `short_key`, as SQL.
    return f"case when strlen({column}) > {KEY_BYTES} then 'sha256:' || sha256({column}) else {column} end"


def _condition(filters: Sequence[Filter]) -> str:
    parts = [f"{judged_column(f.field)} in ({', '.join(map(_literal, f.values))})" for f in filters]
    return f"coalesce({' and '.join(parts)}, false)" if parts else "true"


def _literal(value: GroupValue) -> str:
    return literal(value) if isinstance(value, str) else str(value).lower()


def _with_numbers(table: pa.Table) -> pa.Table:
    """Convert decimals to integers of their last digit: the same 128 bits under another type."""
    for index, (name, kind) in enumerate(zip(table.schema.names, table.schema.types, strict=True)):
        if pa.types.is_decimal128(kind) and kind != NUMBER:
            chunks = [
                pa.Array.from_buffers(NUMBER, len(chunk), chunk.buffers(), offset=chunk.offset)
                for chunk in table.column(index).chunks
            ]
            table = table.set_column(index, name, pa.chunked_array(chunks or [pa.array([], NUMBER)]))
    return table
