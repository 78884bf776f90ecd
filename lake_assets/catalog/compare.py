"""Effect of a changed contract on existing data and its readers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, cast

from lake_assets.catalog.model import Asset, Check, Field, FieldType

Kind = Literal["none", "additive", "breaking"]
_RANK: dict[Kind, int] = {"none": 0, "additive": 1, "breaking": 2}


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `path` names it (`fields.amount.type`), `sentence` describes it."""

    kind: Kind
    path: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Change:
    """All differences, worst first. `kind` is the worst kind of all, `none` when nothing about the data changed.

    `allowed` is False when the change is breaking and the applied contract is not a draft, unless the major version was
    raised (which makes another asset, with tables beside the old ones) or the contract has `compatibility: none`.
    """

    kind: Kind
    differences: tuple[Difference, ...]
    allowed: bool


UNCHANGED = Change("none", (), allowed=True)


def compare(old: Asset, new: Asset) -> Change:
    """Compare `new` with the applied `old`.

    | changed | kind |
    |---|---|
    | description, owners, freshness, frequency, roster, engine, compatibility, version, order of fields | none |
    | status, retention, encoding | none |
    | new field: optional / required | additive / breaking |
    | field removed or renamed | breaking |
    | decimal with more digits before the point and the same scale | additive |
    | any other type change; format; thousandsSeparator; unit; firstYear; payload key (physicalName) | breaking |
    | nulls of a field that is no string: more / fewer | additive / breaking |
    | nulls of a string; path; join | breaking |
    | required dropped / added | additive / breaking |
    | bound, length or enum wider, or removed; pattern removed | additive |
    | bound, length or enum narrower, or new; pattern new or another | breaking |
    | protection | breaking |
    | classification; checks; entrypoint; quarantine budget | additive |
    | partitions: more / fewer | additive / breaking |
    | unknownFields: keep / reject | additive / breaking |
    | name, domain, topic, key, event time, window; a lower major version | breaking |

    After an additive change, windows with rows in quarantine are rebuilt; after a breaking one, all windows are.
    """
    differences = [*_asset_differences(old, new), *_field_differences(old, new), *_check_differences(old, new)]
    differences.sort(key=lambda difference: -_RANK[difference.kind])
    kind: Kind = differences[0].kind if differences else "none"
    beside = new.major > old.major and new.name != old.name
    allowed = kind != "breaking" or old.status == "draft" or beside or new.compatibility == "none"
    return Change(kind, tuple(differences), allowed)


def _asset_differences(old: Asset, new: Asset) -> Iterator[Difference]:
    plain: list[tuple[Kind, str, Callable[[Asset], object]]] = [
        ("breaking", "name", lambda asset: asset.dataset),
        ("breaking", "domain", lambda asset: asset.domain),
        ("breaking", "topic", lambda asset: asset.topic),
        ("breaking", "key", lambda asset: ", ".join(asset.key) or None),
        ("breaking", "eventTime", lambda asset: asset.event_time or "the time of sending"),
        ("breaking", "window", lambda asset: asset.window),
        ("breaking" if new.major < old.major else "none", "version", lambda asset: asset.version),
        ("breaking" if new.partitions < old.partitions else "additive", "partitions", lambda asset: asset.partitions),
        ("breaking" if new.unknown_fields == "reject" else "additive", "unknownFields", lambda a: a.unknown_fields),
        ("additive", "entrypoint", lambda asset: asset.entrypoint),
        ("additive", "quarantine", lambda asset: asset.quarantine),
        ("none", "status", lambda asset: asset.status),
        ("none", "encoding", lambda asset: asset.encoding),
        ("none", "engine", lambda asset: asset.engine),
        ("none", "compatibility", lambda asset: asset.compatibility),
        ("none", "freshness", lambda asset: asset.freshness),
        ("none", "frequency", lambda asset: asset.frequency),
        ("none", "roster", lambda asset: asset.roster),
        ("none", "retention", lambda asset: asset.retention),
        ("none", "description", lambda asset: asset.description),
        ("none", "owners", lambda asset: ", ".join(asset.owners)),
    ]
    for kind, path, part in plain:
        before, after = part(old), part(new)
        if before != after:
            yield Difference(kind, path, f"{path} changes from {_shown(before)} to {_shown(after)}")


def _field_differences(old: Asset, new: Asset) -> Iterator[Difference]:
    before = {field.name: field for field in old.fields}
    after = {field.name: field for field in new.fields}
    added = [field for name, field in after.items() if name not in before]
    for name, field in before.items():
        if name in after:
            yield from _changes_of_field(field, after[name])
            continue
        twin = next((f.name for f in added if f.payload_key == field.payload_key or f.type == field.type), None)
        renamed = f"; a renamed field (to {twin}?) is a removed one to its readers" if twin else ""
        yield Difference("breaking", f"fields.{name}", f"field {name} is removed{renamed}")
    for field in added:
        kind: Kind = "breaking" if field.required else "additive"
        need = "required, which old events are not held to" if field.required else "optional"
        yield Difference(kind, f"fields.{field.name}", f"field {field.name} ({field.type}) is new and {need}")
    common = [name for name in before if name in after]
    if common != [name for name in after if name in before]:
        yield Difference("none", "fields", "the fields are in another order")


# The kind of a changed part; None when its values mean the same.
_KindOf = Callable[[Field, Field], Kind | None]


def _always(kind: Kind) -> _KindOf:
    return lambda old, new: kind


def _kind_of_type(old: Field, new: Field) -> Kind:
    return "additive" if _is_wider(old.type, new.type) else "breaking"


def _kind_of_required(old: Field, new: Field) -> Kind:
    return "breaking" if new.required else "additive"


def _kind_of_nulls(old: Field, new: Field) -> Kind:
    # Values that are null now were in quarantine, or were texts.
    if set(old.nulls) < set(new.nulls) and new.type.name not in ("string", "json"):
        return "additive"
    return "none" if set(old.nulls) == set(new.nulls) else "breaking"


def _kind_of_pattern(old: Field, new: Field) -> Kind:
    return "breaking" if new.pattern else "additive"


def _kind_of_enum(old: Field, new: Field) -> Kind | None:
    if set(old.enum) == set(new.enum):
        return None
    wider = not new.enum or (bool(old.enum) and set(old.enum) <= set(new.enum))
    return "additive" if wider else "breaking"


def _bound(name: str, read: Callable[[Field], Decimal | int | None], sign: int) -> "_FieldRule":
    """Return the rule of a bound: a lower one (`sign` 1) is wider when it falls, an upper one (-1) when it rises.

    Either one is wider when it is removed.
    """

    def kind_of(old: Field, new: Field) -> Kind:
        before, after = read(old), read(new)
        wider = after is None or (before is not None and sign * after <= sign * before)
        return "additive" if wider else "breaking"

    return name, read, kind_of


_FieldRule = tuple[str, Callable[[Field], object], _KindOf]
_FIELD_RULES: tuple[_FieldRule, ...] = (
    ("type", lambda field: field.type, _kind_of_type),
    ("required", lambda field: field.required, _kind_of_required),
    ("physicalName", lambda field: field.payload_key, _always("breaking")),
    ("format", lambda field: field.format, _always("breaking")),
    ("nulls", lambda field: field.nulls, _kind_of_nulls),
    ("thousandsSeparator", lambda field: field.thousands, _always("breaking")),
    ("unit", lambda field: field.unit, _always("breaking")),
    ("firstYear", lambda field: field.first_year, _always("breaking")),
    ("path", lambda field: field.path, _always("breaking")),
    ("join", lambda field: field.join, _always("breaking")),
    ("pattern", lambda field: field.pattern, _kind_of_pattern),
    ("validValues", lambda field: field.enum, _kind_of_enum),
    _bound("minimum", lambda field: field.minimum, 1),
    _bound("maximum", lambda field: field.maximum, -1),
    _bound("minLength", lambda field: field.min_length, 1),
    _bound("maxLength", lambda field: field.max_length, -1),
    ("protection", lambda field: field.protection, _always("breaking")),
    ("classification", lambda field: field.classification, _always("additive")),
    ("description", lambda field: field.description, _always("none")),
)


def _changes_of_field(old: Field, new: Field) -> Iterator[Difference]:
    for part, read, kind_of in _FIELD_RULES:
        before, after = read(old), read(new)
        kind = kind_of(old, new) if before != after else None
        if kind is not None:
            sentence = f"{new.name}: {part} changes from {_shown(before)} to {_shown(after)}"
            yield Difference(kind, f"fields.{new.name}.{part}", sentence)


def _check_differences(old: Asset, new: Asset) -> Iterator[Difference]:
    before: dict[str, Check] = {check.name: check for check in old.checks}
    after: dict[str, Check] = {check.name: check for check in new.checks}
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            what = "changes" if name in before and name in after else "is new" if name in after else "is removed"
            yield Difference("additive", f"checks.{name}", f"check {name} {what}")


def _is_wider(old: FieldType, new: FieldType) -> bool:
    """Return True if every value of the old type is a value of the new type, written the same way."""
    if old.name != "decimal" or new.name != "decimal" or old.precision is None or new.precision is None:
        return False
    return new.scale == old.scale and new.precision >= old.precision


def _shown(value: object) -> str:
    if value is None or value == "" or value == ():
        return "nothing"
    if isinstance(value, tuple):
        return ", ".join(map(str, cast("tuple[object, ...]", value)))
    return str(value).lower() if isinstance(value, bool) else str(value)
