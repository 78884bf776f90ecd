"""A contract from a sample: what each column is, which tell rows apart, which says when. All of it explained."""

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import combinations

from lake_assets.catalog.column_types import ColumnType, column_type
from lake_assets.catalog.csv_dialect import SampleError
from lake_assets.catalog.names import FIELD_NAME_LENGTH, field_name
from lake_assets.catalog.personal import personal_data
from lake_assets.catalog.problems import did_you_mean
from lake_assets.catalog.sample import Cell, Sample

_MOST_FIELDS = 1_000
_LONGEST_KEY = 1_000
_KEY_NAME = re.compile(r"(?:^|_)(?:id|key|uuid|guid|number|no|nr)_?$")
_PART_NAME = re.compile(r"(?:^|_)(?:id|key|number|no|nr|line|position|pos|item|sku|seq|sequence|version)_?$")
_EVENT_NAMES = (
    re.compile(r"^(event_time|event_at|event_timestamp|occurred_at|timestamp|ts|time)_?$"),
    re.compile(r"(^|_)(created|ordered|signed|registered|received|sent|paid|placed|booked|event|order|sale)_?"
               r"(at|on|date|time|timestamp|ts)?_?$"),
    re.compile(r"(^|_)(at|date|datum|time|timestamp|ts|day|on)_?$"),
)  # fmt: skip
_LATER_NAMES = re.compile(
    r"(^|_)(updated|modified|changed|deleted|closed|ended|end|due|expires|expiry|valid|until|birth|birthday|born|"
    r"processed|loaded|imported|last)(_|$)"
)


@dataclass(frozen=True, slots=True)
class InferredField:
    """One field as decided. `source` is the payload's key; `values` are the few it holds, a rule when `closed`.
    `personal` says what of persons it seems to hold, None when nothing."""

    name: str
    source: str
    type: ColumnType
    required: bool
    values: tuple[str, ...] = ()
    closed: bool = False
    key_position: int = 0
    personal: str | None = None
    doubts: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Inferred:
    """All that a contract needs but names and owners. `notes` say what of the sample it does not hold."""

    fields: tuple[InferredField, ...]
    event_time: str
    event_time_why: str
    start: date
    notes: tuple[str, ...] = field(default=())


def infer(sample: Sample, event_time: str | None = None) -> Inferred:
    """Decides a contract. `event_time` names the column that windows are cut by, when the choice is not to be left.

    Raises SampleError when no column can be the event time, or the one named cannot.
    """
    columns, notes = _usable_columns(sample)
    if not columns:
        raise SampleError("none of the sample's columns has a name that a field can have: name them in letters.")
    fields: list[InferredField] = []
    taken: set[str] = set()
    for at, source in columns:
        name = _free_name(field_name(source), taken)
        taken.add(name)
        fields.append(_infer_field(name, source, [row[at] for row in sample.rows]))
    chosen, why = _event_time(fields, sample, event_time)
    fields = [_as_event_time(one) if one.name == chosen else one for one in fields]
    key = _key([(one, at) for one, (at, _) in zip(fields, columns, strict=True)], sample)
    fields = [_as_key(one, key.index(one.name) + 1, len(key)) if one.name in key else one for one in fields]
    if not key:
        notes.append("no column tells rows apart: add primaryKey: true where one does, else only deliveries that "
                     "Kafka doubled are found")  # fmt: skip
    if personal := ", ".join(one.name for one in fields if one.personal):
        notes.append(f"personal by their looks, so that marts do not see them: {personal}; take the classification out "
                     "where that is wrong, or let marts join and count tokens instead, with customProperties "
                     f"{{property: protection, value: {{tokenise: [{personal}]}}}}")  # fmt: skip
    first = next(one.type.first for one in fields if one.name == chosen)
    assert first is not None
    return Inferred(tuple(fields), chosen, why, date(first.year, 1, 1), tuple(notes))


def optional_fields(sample: Sample, taken: Collection[str]) -> tuple[InferredField, ...]:
    """The sample's columns as fields that no row is refused for lack of, nor for a value that the sample has not. Their
    names differ from those taken."""
    names = set(taken)
    found: list[InferredField] = []
    for at, source in _usable_columns(sample)[0]:
        name = _free_name(field_name(source), names)
        names.add(name)
        one = _infer_field(name, source, [row[at] for row in sample.rows])
        found.append(replace(one, required=False, values=(), closed=False))
    return tuple(found)


def _usable_columns(sample: Sample) -> tuple[list[tuple[int, str]], list[str]]:
    """The columns that can be declared, with their place in the rows, and notes about the others."""
    usable: list[tuple[int, str]] = []
    odd: list[str] = []
    for at, source in enumerate(sample.columns):
        if not source.isprintable() or not source.strip() or len(source) > _LONGEST_KEY or len(usable) == _MOST_FIELDS:
            odd.append(ascii(source)[:40])
        else:
            usable.append((at, source))
    notes: list[str] = []
    if odd:
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        notes.append(f"not declared, so kept in _extra: {', '.join(odd[:3])}{more}")
    if sample.long:
        notes.append(f"rows with more cells than the header: {sample.long}; the further ones are kept in _extra")
    if sample.unreadable:
        notes.append(f"lines that are no row: {sample.unreadable}; such events go to quarantine")
    if sample.broken:
        notes.append(f"lines with bytes that are not UTF-8: {sample.broken}; such events go to quarantine")
    return usable, notes


def _free_name(name: str, taken: set[str]) -> str:
    number = 1
    candidate = name
    while candidate in taken:
        number += 1
        candidate = f"{name[: FIELD_NAME_LENGTH - 6]}_{number}"
    return candidate


def _infer_field(name: str, source: str, cells: list[Cell | None]) -> InferredField:
    counted = Counter(cell for cell in cells if cell is not None)
    found = column_type(name, counted)
    empty = len(cells) - sum(counted.values())
    texts = dict.fromkeys(cell.text for cell in counted)
    personal = personal_data(name, texts) if found.logical == "string" else None
    # Names of persons do not belong into a contract.
    values, closed = ((), False) if personal else _few_values(found, counted)
    why = found.why
    if values:
        why += f", {len(values)} different values"
    doubts = list(found.doubts)
    if values and not closed:
        doubts.append("new values only warn; remove severity to refuse them")
    if personal:
        doubts.append(f"personal, because they look like {personal}")
    return InferredField(
        name=name,
        source=source,
        type=found,
        required=empty == 0,
        values=values,
        closed=closed,
        personal=personal,
        doubts=tuple(doubts),
        why=f"{why}; {'never empty' if not empty else f'empty in {empty} of {len(cells)} rows'}",
    )


def _few_values(found: ColumnType, counted: Counter[Cell]) -> tuple[tuple[str, ...], bool]:
    """The values of a column that has few, and whether the evidence allows to refuse all others.

    With 500 rows and more, and each of at most ten values seen in at least one row of a hundred, another value is
    likely a mistake: a rule. With less, others may well come: a check that warns, so that no row is lost by a guess.
    """
    total = sum(counted.values())
    few = 2 <= len(counted) <= 12 and len(counted) * 10 <= total
    if found.logical != "string" or found.doubts or total < 30 or not few:
        return (), False
    values = tuple(sorted(cell.text for cell in counted))
    rarest = min(counted.values())
    if rarest < 2 or not all(0 < len(value) <= 40 and value.isprintable() for value in values):
        return (), False
    return values, total >= 500 and len(values) <= 10 and rarest * 100 >= total


def _event_time(fields: list[InferredField], sample: Sample, wanted: str | None) -> tuple[str, str]:
    """The name of the field that windows are cut by, and why that one."""
    dated = [one for one in fields if one.type.logical in ("timestamp", "date")]
    if wanted is not None:
        named = next((one for one in fields if wanted in (one.name, one.source)), None)
        if named is None:
            names = [one.name for one in fields]
            raise SampleError(f"--event-time {wanted}: the sample has no such column.{did_you_mean(wanted, names)}")
        if named not in dated:
            raise SampleError(
                f"--event-time {wanted}: that column is no date or time ({', '.join(named.type.doubts) or named.why})."
            )
        return named.name, "as you said"
    if not dated:
        hint = next((f" ('{one.source}': {one.type.doubts[0]})" for one in fields if one.type.doubts), "")
        raise SampleError(
            f"no column reads as a date or time{hint}, and an asset needs one to cut its windows by: "
            "add a column with the time of the event, for example 2026-01-31T12:00:00Z."
        )
    best = max(dated, key=lambda one: (_event_rank(one), -fields.index(one)))
    others = [one.name for one in dated if one is not best]
    why = f"chosen over {', '.join(others[:3])}: name another with --event-time" if others else "the only time"
    return best.name, why


def _event_rank(one: InferredField) -> tuple[bool, bool, int, bool]:
    """Better is larger: always there, not a later change, by name, with a time of day."""
    by_name = next((rank for rank, names in enumerate(_EVENT_NAMES) if names.search(one.name)), len(_EVENT_NAMES))
    return one.required, not _LATER_NAMES.search(one.name), -by_name, one.type.logical == "timestamp"


def _as_event_time(one: InferredField) -> InferredField:
    doubts = [doubt for doubt in one.doubts if one.type.logical == "timestamp" or "offset" not in doubt]
    kind = one.type
    if kind.logical == "date":
        kind = replace(kind, logical="timestamp", format=kind.format or "yyyy-MM-dd")
        doubts.append("days only: each counts as midnight UTC")
    if not one.required:
        doubts.append("rows without it go to quarantine")
    return replace(one, type=kind, required=True, doubts=tuple(doubts), why=f"{one.why}; event time")


def _key(fields: list[tuple[InferredField, int]], sample: Sample) -> tuple[str, ...]:
    """Names of the fields that tell rows apart: one column if one does, else two; a few doubled rows are no matter."""
    rows = list(dict.fromkeys(sample.rows))
    # Rows that are doubled as a whole are deliveries that came twice; what differs elsewhere may be a correction.
    most_doubled = max(len(rows) // 50, 1 if len(rows) >= 8 else 0)

    def tells_apart(places: tuple[int, ...]) -> bool:
        seen = {tuple(row[at] for at in places) for row in rows}
        return len(rows) - len(seen) <= most_doubled

    plain = [
        (one, at) for one, at in fields if one.type.logical in ("string", "integer") and one.required and not one.values
    ]
    named = [(one, at) for one, at in plain if _KEY_NAME.search(one.name)]
    for one, at in sorted(named, key=lambda pair: pair[0].name not in ("id", "uuid", "guid", "key")):
        if tells_apart((at,)):
            return (one.name,)
    parts = [(one, at) for one, at in plain if _PART_NAME.search(one.name)][:6]
    for (first, at_first), (second, at_second) in combinations(parts, 2):
        if tells_apart((at_first, at_second)):
            return (first.name, second.name)
    return ()


def _as_key(one: InferredField, position: int, parts: int) -> InferredField:
    doubts = (*one.doubts, "key by its name and because nearly no two rows share it") if parts == 1 else one.doubts
    if parts > 1:
        doubts = (*one.doubts, "part of the key: together they tell rows apart")
    return replace(one, key_position=position if parts > 1 else 1, doubts=doubts, why=f"{one.why}; key")
