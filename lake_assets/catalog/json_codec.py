"""Lossless JSON form of the catalog's values, for a job that runs elsewhere.

Standard library only, because a cluster's driver has nothing else.
"""

import json
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import PurePath, PurePosixPath
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_json(value: object) -> str:
    """Convert to JSON: dataclasses to objects, tuples to arrays, decimals and dates to texts, spans to microseconds."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def from_json(kind: type[T], text: str) -> T:
    """Read a value of that type from JSON. Raises TypeError, KeyError or ValueError when the text is not one."""
    return _typed(kind, json.loads(text))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal | PurePath):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast(dict[str, Any], value).items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in cast(tuple[Any, ...], value)]
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _typed(kind: Any, value: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    # A Literal with None is of the older kind.
    if origin in (UnionType, Union):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return None if value is None else _typed(inner, value)
    if origin is tuple:
        return tuple(_typed(arguments[0], item) for item in value)
    if origin is dict:
        return {key: _typed(arguments[1], item) for key, item in value.items()}
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"'{value}' is none of {', '.join(map(str, arguments))}")
        return value
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return cast(Any, kind)(**{field.name: _typed(hints[field.name], value[field.name]) for field in fields(kind)})
    if kind is Decimal:
        return Decimal(value)
    if kind is date:
        return date.fromisoformat(value)
    if kind is timedelta:
        return timedelta(microseconds=value)
    if kind is PurePath:
        return PurePosixPath(value)
    if kind in (str, int, float, bool) and isinstance(value, kind):
        return value
    raise TypeError(f"{value!r} is not of type {kind}")
