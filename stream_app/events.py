"""A batch of judged events, column by column: what the fold adds up."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from lake_assets.catalog.metric import GroupValue, Metric
from lake_assets.catalog.model import Asset

GroupKey = tuple[GroupValue, ...]

POSITION, TIME, WINDOW, COUNTED = "_position", "_time", "_window", "_counted"
# Whole numbers of the measures' last digit: wide enough that no batch's sum overflows.
NUMBER = pa.decimal128(38, 0)


@dataclass(frozen=True, slots=True)
class Events:
    """Good events of one Kafka partition.

    `table` has a row for each: `_position` (its place in the batch), `_window` (start of its tumbling window), the
    columns of `group_columns`, `value_columns` and `key_columns`. `newest` is the latest event time. Times are int64
    milliseconds since 1970 UTC.
    """

    table: pa.Table
    newest: int


def events_of(table: pa.Table) -> Events:
    """The events of judged rows, of which there must be at least one. Rows that are not `_counted` only tell the time:
    it passes also with events that a filter leaves out."""
    newest = int(table[TIME].to_numpy().max())
    counted = table[COUNTED]
    return Events(table if counted.to_numpy().all() else table.filter(counted), newest)


def measured_fields(metric: Metric) -> tuple[str, ...]:
    """The fields that measures take, each once, in their order."""
    return tuple(dict.fromkeys(measure.field for measure in metric.measures if measure.field))


def needed_fields(metric: Metric) -> Iterator[str]:
    """The fields that groups, filters and measures take."""
    yield from (group.name for group in metric.groups)
    yield from (condition.field for condition in metric.filters)
    yield from measured_fields(metric)


# The bytes of a text up to which a key is held as it is; a longer one is known by its hash.
KEY_BYTES = 200


def short_key(key: str) -> str:
    """A key of at most `KEY_BYTES`: an event may have one of megabytes, which no record of the changelog could hold."""
    text = key.encode()
    return key if len(text) <= KEY_BYTES else f"sha256:{hashlib.sha256(text).hexdigest()}"


# A contract's fields begin with a letter, so these names are free.


def group_columns(metric: Metric) -> list[str]:
    return [f"_g{number}" for number in range(len(metric.groups))]


def value_columns(metric: Metric) -> list[str]:
    """One for each of `measured_fields`, in whole numbers of the field's last digit (`NUMBER`)."""
    return [f"_v{number}" for number in range(len(measured_fields(metric)))]


def key_columns(asset: Asset) -> list[str]:
    """What tells events apart; none when the source has no key."""
    return [f"_k{number}" for number in range(len(asset.key))]
