"""A batch of validated events as columns: the input of the fold."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from lake_assets.catalog.metric import GroupValue, Metric
from lake_assets.catalog.model import Asset

GroupKey = tuple[GroupValue, ...]

POSITION, TIME, WINDOW, COUNTED = "_position", "_time", "_window", "_counted"
# Integers in units of the measures' last digit: wide enough that no batch's sum overflows.
NUMBER = pa.decimal128(38, 0)


@dataclass(frozen=True, slots=True)
class Events:
    """Good events of one Kafka partition.

    `table` has one row per event: `_position` (its index in the batch), `_window` (start of its tumbling window), and
    the columns of `group_columns`, `value_columns` and `key_columns`. `newest` is the latest event time. Times are
    int64 milliseconds since 1970 UTC.
    """

    table: pa.Table
    newest: int


def events_of(table: pa.Table) -> Events:
    """Return the events of validated rows, of which there must be at least one.

    Rows that are not `_counted` only advance the time: events that a filter excludes do so too.
    """
    newest = int(table[TIME].to_numpy().max())
    counted = table[COUNTED]
    return Events(table if counted.to_numpy().all() else table.filter(counted), newest)


def measured_fields(metric: Metric) -> tuple[str, ...]:
    """Return the fields that measures read, each once, in their order."""
    return tuple(dict.fromkeys(measure.field for measure in metric.measures if measure.field))


def needed_fields(metric: Metric) -> Iterator[str]:
    """Return the fields that groups, filters and measures read."""
    yield from (group.name for group in metric.groups)
    yield from (condition.field for condition in metric.filters)
    yield from measured_fields(metric)


# Keys of up to this many bytes are stored as they are; longer ones by their hash.
KEY_BYTES = 200
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


def short_key(key: str) -> str:
    """Return the key, or its hash above `KEY_BYTES`: a key of megabytes would fit into no changelog record."""
    text = key.encode()
    return key if len(text) <= KEY_BYTES else f"sha256:{hashlib.sha256(text).hexdigest()}"


def hidden_key(key: object) -> str:
    """Return the hash by which a key of a confidential field is stored; a hash stays as it is."""
    text = str(key).lower() if isinstance(key, bool) else str(key)
    return text if _HASH.fullmatch(text) else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


# A contract's fields begin with a letter, so these names cannot collide.


def group_columns(metric: Metric) -> list[str]:
    return [f"_g{number}" for number in range(len(metric.groups))]


def value_columns(metric: Metric) -> list[str]:
    """Return one column for each of `measured_fields`, in integers of the field's last digit (`NUMBER`)."""
    return [f"_v{number}" for number in range(len(measured_fields(metric)))]


def key_columns(asset: Asset) -> list[str]:
    """Return the columns that identify an event; none when the source has no key."""
    return [f"_k{number}" for number in range(len(asset.key))]
