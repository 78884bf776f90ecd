"""The metric's own Python function, applied between the contract's rules and the fold."""

import importlib
import sys
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.compile.metric_tables import MOST_GROUP_BYTES
from stream_app.events import (
    COUNTED,
    NUMBER,
    POSITION,
    TIME,
    WINDOW,
    group_columns,
    key_columns,
    measured_fields,
    value_columns,
)

Transform = Callable[[dict[str, Any]], Mapping[str, Any] | None]
_TYPES = {"string": pa.string(), "integer": pa.int64(), "boolean": pa.bool_()}


class TransformError(Exception):
    """The function named in the metric cannot be loaded."""


def load_transform(name: str) -> Transform:
    """Return the function that a metric names as `module:function`. Raises TransformError."""
    module, _, function = name.partition(":")
    # A host tries again after a failure, and the file may have been repaired meanwhile.
    importlib.invalidate_caches()
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        sys.modules.pop(module, None)
        raise TransformError(f"the transform '{name}' cannot be loaded: {error}.") from None


class Transformed:
    """Function of one metric, applied to validated rows, which have all of the contract's fields."""

    def __init__(self, asset: Asset, metric: Metric, transform: Transform) -> None:
        self._metric, self._transform = metric, transform
        self._fields = [field.name for field in asset.fields]
        self._measured = measured_fields(metric)
        self._scales = {m.field: m.scale for m in metric.measures if m.field}
        self._kept = [POSITION, TIME, WINDOW, *key_columns(asset)]
        self._groups = [(group.name, _TYPES[group.type.name]) for group in metric.groups]

    def apply(self, table: pa.Table) -> tuple[pa.Table, list[int]]:
        """Return the rows for the fold, and the positions of rows whose call raised or returned unfit values.

        Rows for which the function returned None, or that a filter excludes, are included but not counted.
        """
        groups: list[list[Any]] = [[] for _ in self._groups]
        values: list[list[Decimal | None]] = [[] for _ in self._measured]
        counted: list[bool] = []
        fits: list[bool] = []
        for event in table.select(self._fields).to_pylist():
            try:
                row = self._row(event)
            except Exception:
                fits.append(False)
                continue
            fits.append(True)
            counted.append(row is not None)
            for column, value in zip((*groups, *values), row or (None,) * (len(groups) + len(values)), strict=True):
                column.append(value)
        mask = pa.array(fits, pa.bool_())
        good = table.filter(mask).select(self._kept).append_column(COUNTED, pa.array(counted, pa.bool_()))
        for name, (_, kind), column in zip(group_columns(self._metric), self._groups, groups, strict=True):
            good = good.append_column(name, pa.array(column, kind))
        for name, column in zip(value_columns(self._metric), values, strict=True):
            good = good.append_column(name, pa.array(column, NUMBER))
        failed = [p for p, fit in zip(table[POSITION].to_numpy().tolist(), fits, strict=True) if not fit]
        return good, failed

    def _row(self, event: dict[str, Any]) -> tuple[Any, ...] | None:
        """Return groups and integers of one event.

        Raises whatever the function raises, KeyError, TypeError and ArithmeticError, and ArrowInvalid for a group of
        another type.
        """
        result = self._transform(event)
        if result is None or not all(result[f.field] in f.values for f in self._metric.filters):
            return None
        groups = [pa.scalar(result[name], kind).as_py() for name, kind in self._groups]
        if None in groups:
            raise TypeError("a group is missing")
        if sum(len(group.encode()) for group in groups if isinstance(group, str)) > MOST_GROUP_BYTES:
            raise ValueError("the groups exceed the size limit of a metric's row")
        return (*groups, *(_last_digits(result[name], self._scales[name]) for name in self._measured))


def _last_digits(value: object, scale: int) -> Decimal:
    """Return a value as an integer of its last digit; floats, and digits beyond the scale, raise TypeError."""
    if not isinstance(value, int | Decimal) or (number := Decimal(value).scaleb(scale)) != int(number):
        raise TypeError(f"{value!r} is not a number with {scale} decimal places")
    return Decimal(int(number))
