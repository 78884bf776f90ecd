"""Inference of a contract from a sample: types, key and event time, each with its reason."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import combinations

from lake_assets.catalog.column_types import ColumnType, column_type
from lake_assets.catalog.csv_dialect import SampleError
from lake_assets.catalog.date_shapes import date_shape, named_as_date, short_year, whole_year
from lake_assets.catalog.formats import boolean_words
from lake_assets.catalog.model import WindowSize
from lake_assets.catalog.names import FIELD_NAME_LENGTH, field_name
from lake_assets.catalog.parse import SENT
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
# Names of separate columns for year, month and day.
_PARTS_OF_DATE = (
    frozenset({"year", "yr", "yyyy", "year_of_date"}),
    frozenset({"month", "mon", "mo", "mm", "month_of_year"}),
    frozenset({"day", "dd", "mday", "day_of_month", "dayofmonth", "date_of_month", "dom"}),
)
_YEAR_NAME = re.compile(r"(?:^|_)(?:year|yr|jahr)(?:_|$)")
_FEWEST_YEARS = 3
_SHORT_YEAR = re.compile("(?<!y)yy(?!y)")
_MOST_YEARS_AHEAD = 10
_DIGITS = re.compile(r"\d+")
_MADE_NAME = re.compile(r"(?:^|_)(?:created|updated|modified|changed|pushed|published|closed)(?:_|$)")
# A window costs as much as a thousand rows, but a few days are not representative of the long run.
_FEW_ROWS, _FEW_DAYS = 1_000, 31
_MANY_ROWS, _FEW_HOURS = 20_000, 2
_TOLERATED = 0.05
_LATER_NAMES = re.compile(
    r"(^|_)(updated|modified|changed|deleted|closed|ended|end|due|expires|expiry|valid|until|birth|birthday|born|"
    r"processed|loaded|imported|last)(_|$)"
)


@dataclass(frozen=True, slots=True)
class InferredField:
    """One inferred field. `source` is the payload's key, `path` or `join` the keys of a derived field.

    `values` are the values of a field that has few, a rule when `closed`. `personal` names the kind of personal data,
    None when there is none. `empty` counts the rows without a value.
    """

    name: str
    source: str
    type: ColumnType
    required: bool
    values: tuple[str, ...] = ()
    closed: bool = False
    key_position: int = 0
    path: tuple[str, ...] = ()
    join: tuple[str, ...] = ()
    personal: str | None = None
    doubts: tuple[str, ...] = ()
    why: str = ""
    empty: int = 0


@dataclass(frozen=True, slots=True)
class Inferred:
    """Parts of a contract, except names and owners. `event_time` can be the time of sending, `sent`.

    `notes` list what the contract does not cover of the sample.
    """

    fields: tuple[InferredField, ...]
    event_time: str
    event_time_why: str
    notes: tuple[str, ...] = field(default=())
    encoding: str | None = None
    window: WindowSize = "day"
    window_why: str = ""


def infer(sample: Sample, event_time: str | None = None) -> Inferred:
    """Infer a contract. `event_time` overrides the inferred event time: a column, a nested value (`meta.ts`) or `sent`.

    Raises SampleError when that column cannot be the event time.
    """
    columns, notes = _usable_columns(sample)
    if not columns:
        raise SampleError("none of the sample's columns has a valid name for a field: use letters in the header.")
    fields: list[InferredField] = []
    taken: set[str] = set()
    for index, source in columns:
        name = _free_name(field_name(source), taken)
        taken.add(name)
        fields.append(_infer_field(name, source, [row[index] for row in sample.rows]))
    fields = _with_words_of_others(fields, [index for index, _ in columns], sample)
    key, near = _key([(column, index) for column, (index, _) in zip(fields, columns, strict=True)], sample)
    fields = [
        _as_key(column, key.index(column.name) + 1, len(key)) if column.name in key else column for column in fields
    ]
    fields = [
        replace(column, doubts=(*column.doubts, near[column.name])) if column.name in near else column
        for column in fields
    ]
    if not key:
        notes.append("no column is unique and named like a key: add primaryKey: true to the key fields, else only "
                     f"repeated deliveries of Kafka count as duplicates{_reasons(near)}")  # fmt: skip
    fields = _with_centuries(fields, [index for index, _ in columns], sample, taken)
    chosen, why = _event_time(fields, sample, event_time)
    if chosen is None:
        fields = [
            replace(column, name=_free_name("sent_", taken)) if column.name == SENT else column for column in fields
        ]
        if event_time is None:
            notes.append(f"event time: {why}")
    elif chosen not in fields:
        chosen = replace(chosen, name=_free_name(chosen.name, taken))
        fields.append(chosen)
    fields = [_as_event_time(column) if chosen and column.name == chosen.name else column for column in fields]
    if personal := ", ".join(column.name for column in fields if column.personal):
        notes.append(f"likely personal, so that marts do not have them: {personal}; delete the classification "
                     "where it is wrong, or let marts join and count tokens instead, with customProperties "
                     f"{{property: protection, value: {{tokenise: [{personal}]}}}}")  # fmt: skip
    window, window_why = _window(chosen.type.instants, len(sample.rows)) if chosen else ("day", "")
    if window_why:
        notes.append(f"window: {window_why}")
    return Inferred(
        tuple(fields), chosen.name if chosen else SENT, why, tuple(notes), sample.encoding, window, window_why
    )


def optional_fields(sample: Sample, taken: Collection[str]) -> tuple[InferredField, ...]:
    """Infer the sample's columns as optional fields without a list of allowed values.

    Their names differ from those in `taken`.
    """
    names = set(taken)
    fields: list[InferredField] = []
    for index, source in _usable_columns(sample)[0]:
        name = _free_name(field_name(source), names)
        names.add(name)
        column = _infer_field(name, source, [row[index] for row in sample.rows])
        fields.append(replace(column, required=False, values=(), closed=False))
    return tuple(fields)


def _usable_columns(sample: Sample) -> tuple[list[tuple[int, str]], list[str]]:
    """Return the columns that can be declared, with their index in the rows, and notes about the others."""
    usable: list[tuple[int, str]] = []
    odd: list[str] = []
    for index, source in enumerate(sample.columns):
        if not source.isprintable() or not source.strip() or len(source) > _LONGEST_KEY or len(usable) == _MOST_FIELDS:
            odd.append(ascii(source)[:40])
        else:
            usable.append((index, source))
    notes: list[str] = []
    if odd:
        more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
        notes.append(f"not declared, so kept in _extra: {', '.join(odd[:3])}{more}")
    if sample.above:
        notes.append(f"lines above the header, which are left out: {sample.above}")
    if sample.long:
        notes.append(f"rows with more cells than the header: {sample.long}; the further ones are kept in _extra")
    if sample.unreadable:
        notes.append(f"lines that are no row: {sample.unreadable}; such events go to quarantine")
    if sample.encoding:
        notes.append(f"lines that are not UTF-8 are read as {sample.encoding}: write another encoding into the "
                     "contract if letters look wrong")  # fmt: skip
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
    type_ = column_type(name, counted)
    empty = len(cells) - sum(times for cell, times in counted.items() if cell.text not in type_.nulls)
    texts = dict.fromkeys(cell.text for cell in counted)
    personal = personal_data(name, texts) if type_.logical == "string" else None
    # A contract must not contain names of persons.
    values, closed = ((), False) if personal else _few_values(type_, counted)
    why = type_.why
    if values:
        why += f", {len(values)} different values"
    doubts = list(type_.doubts)
    if values and not closed:
        doubts.append("new values only warn; remove severity to refuse them")
    if personal:
        doubts.append(f"personal: they look like {personal}")
    return InferredField(
        name=name,
        source=source,
        type=type_,
        required=empty == 0,
        values=values,
        closed=closed,
        personal=personal,
        doubts=tuple(doubts),
        empty=empty,
        why=f"{why}; {'never empty' if not empty else f'empty in {empty} of {len(cells)} rows'}",
    )


def _few_values(type_: ColumnType, counted: Counter[Cell]) -> tuple[tuple[str, ...], bool]:
    """Return the values of a column that has few, and True if the evidence suffices for a rule.

    With 500 rows and more, and each of at most ten values in at least one row of a hundred, another value is likely a
    mistake: a rule. With less evidence, other values are likely: a check that only warns, so that a guess costs no row.
    """
    total = sum(counted.values())
    few = 2 <= len(counted) <= 12 and len(counted) * 10 <= total
    if type_.logical != "string" or type_.doubts or total < 30 or not few:
        return (), False
    values = tuple(sorted(cell.text for cell in counted))
    rarest = min(counted.values())
    if rarest < 2 or not all(0 < len(value) <= 40 and value.isprintable() for value in values):
        return (), False
    return values, total >= 500 and len(values) <= 10 and rarest * 100 >= total


def _event_time(fields: list[InferredField], sample: Sample, wanted: str | None) -> tuple[InferredField | None, str]:
    """Return the event time field, None for the time of sending, and the reason.

    A column filled in nearly every row comes first, then a nested value, then a year, a month and a day.
    """
    if wanted is not None:
        return _wanted_event_time(fields, sample, wanted), "given by --event-time"
    dated = [column for column in fields if column.type.instants and _is_full(column, len(sample.rows))]
    derived = () if dated else _nested_times(sample) or _joined_times(fields, sample)
    if not dated and not derived:
        return None, f"no column is a date or time of nearly every row{_nearest(fields)}: so it is the time of sending"
    candidates = [*dated, *derived]
    best = max(candidates, key=lambda column: (_event_rank(column), -candidates.index(column)))
    others = [column.source for column in candidates if column is not best]
    why = f"chosen over {', '.join(others[:3])}: name another with --event-time" if others else "the only time"
    return best, why


def _wanted_event_time(fields: list[InferredField], sample: Sample, wanted: str) -> InferredField | None:
    named = next((column for column in fields if wanted in (column.name, column.source)), None)
    nested = next((column for column in _nested_times(sample, every=True) if wanted == column.source), None)
    if named is None and nested is None:
        if wanted == SENT:
            return None
        names = [column.name for column in fields]
        raise SampleError(
            f"--event-time {wanted}: the sample has no such column.{did_you_mean(wanted, names)} "
            "The time of sending is --event-time sent."
        )
    if named is not None and not named.type.instants:
        raise SampleError(f"--event-time {wanted}: that column is not a date or time ({_why_no_time(named)}).")
    return named or nested


def _is_full(column: InferredField, rows: int) -> bool:
    return column.empty <= max(rows * _TOLERATED, 1 if rows >= 3 else 0)


def _nested_times(sample: Sample, every: bool = False) -> list[InferredField]:
    times: list[InferredField] = []
    for path, cells in sample.nested.items():
        name = field_name(path[-1])
        # An object with an id is a thing that an event is about, and was made at another time.
        is_of_thing = (*path[:-1], "id") in sample.nested and _MADE_NAME.search(name)
        if any(cells) and (every or not is_of_thing):
            field = _infer_field(name, ".".join(path), list(cells))
            if field.type.instants and (every or _is_full(field, len(cells))):
                times.append(replace(field, name=field_name("_".join(path)), path=path))
    return times


def _joined_times(fields: list[InferredField], sample: Sample) -> list[InferredField]:
    """Join separate columns for a year, a month and perhaps a day into one field."""
    parts: list[str] = []
    for names in _PARTS_OF_DATE:
        part = next((column.source for column in fields if column.name.strip("_") in names and column.required), None)
        if part is None:
            break
        parts.append(part)
    if len(parts) < 2:
        return []
    places = [sample.columns.index(part) for part in parts]
    texts = Counter(" ".join(str(cell.text) for index in places if (cell := row[index])) for row in sample.rows)
    shape = date_shape(texts, "date")
    if shape is None or shape.has_time or shape.format is None or shape.fits < len(sample.rows) * (1 - _TOLERATED):
        return []
    kind = ColumnType("date", f"days as {shape.format}", None, shape.format, (), instants=shape.instants)
    return [InferredField("event_time", " ".join(parts), kind, True, join=tuple(parts), why=f"{kind.why} of {parts}")]


def _with_words_of_others(fields: list[InferredField], places: Sequence[int], sample: Sample) -> list[InferredField]:
    """The fields, where one that has but one word for true or false is a boolean if another of its name is, as `paid_2`
    beside `paid_1`."""
    forms = {
        _DIGITS.sub("", column.name): column.type
        for column in fields
        if column.type.logical == "boolean" and column.type.format
    }
    columns: list[InferredField] = []
    for at, column in zip(places, fields, strict=True):
        kind = forms.get(_DIGITS.sub("", column.name))
        texts = {cell.text.lower() for row in sample.rows if (cell := row[at])}
        if kind and column.type.logical == "string" and texts and texts <= {*boolean_words(kind.format or "")}:
            why = f"{kind.why}, as in others of its name; {column.why.rpartition('; ')[2]}"
            column = replace(column, type=kind, values=(), closed=False, doubts=(), why=why)
        columns.append(column)
    return columns


def _with_centuries(
    fields: list[InferredField], places: Sequence[int], sample: Sample, taken: set[str]
) -> list[InferredField]:
    """The fields, where another column has the whole years of dates with two digits. Where that is of another century,
    the date is a text, and one more field takes the year from the other column."""
    columns: list[InferredField] = []
    for at, column in zip(places, fields, strict=True):
        other = next(
            (pair for pair in zip(places, fields, strict=True) if _has_years_of(column, at, *pair, sample)), None
        )
        if other is None:
            columns.append(_without_far_years(column))
            continue
        place, years = other
        dates = {
            f"{cell.text[:-2]}{year.text}": f"{cell.text} {year.text}"
            for row in sample.rows
            if (cell := row[at]) and (year := row[place]) and short_year(cell.text) is not None
        }
        shape = date_shape(dict.fromkeys(dates, 1), column.name)
        if shape is None or all(
            whole_year(int(year) % 100) == int(year) for *_, year in map(str.split, dates.values())
        ):
            doubts = (part for doubt in column.doubts for part in doubt.split("; "))
            sure = tuple(part for part in doubts if "is the year" not in part)
            columns.append(replace(column, doubts=sure))
            continue
        name = _free_name(f"{column.name}_in_full", taken)
        taken.add(name)
        doubt = f"years of two digits and of more than one century: {name} takes them from {years.name}"
        text = ColumnType("string", f"{column.type.why}, of more than one century", near=doubt)
        columns.append(replace(column, type=text, doubts=(doubt,)))
        kind = replace(column.type, format=f"{column.type.format} yyyy", instants=shape.instants, doubts=(), nulls=())
        empty = len(sample.rows) - sum(row[at] is not None and row[place] is not None for row in sample.rows)
        source = (column.source, years.source)
        columns.append(InferredField(name, " ".join(source), kind, empty == 0, join=source, why=kind.why, empty=empty))
    return columns


def _without_far_years(column: InferredField) -> InferredField:
    """The field, or a text where years of two digits would be far ahead: they may as well be of the last century."""
    last = max((instant.year for instant in column.type.instants), default=0)
    if not _SHORT_YEAR.search(column.type.format or "") or last <= datetime.now(UTC).year + _MOST_YEARS_AHEAD:
        return column
    doubt = f"years of two digits, of 19{last % 100:02} or {last}: a text until it is a date with firstYear"
    return replace(column, type=ColumnType("string", f"{column.type.why}, some far ahead", near=doubt), doubts=(doubt,))


def _has_years_of(column: InferredField, at: int, place: int, other: InferredField, sample: Sample) -> bool:
    """Return whether a column has the years of another, whose dates have two digits of them."""
    if not (form := column.type.format or "").endswith("yy") or not _SHORT_YEAR.search(form):
        return False
    if other.type.logical != "integer" or not _YEAR_NAME.search(other.name):
        return False
    pairs = {(row[at], row[place]) for row in sample.rows}
    both = [(short_year(cell.text), year.text) for cell, year in pairs if cell and year]
    same = sum(len(year) == 4 and year.isdigit() and short == int(year) % 100 for short, year in both)
    return same >= max(_FEWEST_YEARS, len(both) * (1 - _TOLERATED))


def _nearest(fields: list[InferredField]) -> str:
    """Return the best candidates for an event time, with the reason against each."""
    near = [column for column in fields if column.type.near or column.type.instants]
    near = near or [column for column in fields if named_as_date(column.name)]
    reasons = [f"'{column.source}': {_why_no_time(column)}" for column in near[:3]]
    return f" ({'; '.join(reasons)})" if reasons else ""


def _why_no_time(column: InferredField) -> str:
    if column.type.instants:
        return f"empty in {column.empty} rows"
    return column.type.near or column.type.why


def _reasons(near: Mapping[str, str]) -> str:
    return "".join(f"; {name}: {why}" for name, why in near.items())


def _window(instants: Sequence[datetime], rows: int) -> tuple[WindowSize, str]:
    """Return the length of windows, by the number of rows in each, and the reason if it is not a day."""
    days = len({instant.date() for instant in instants})
    hours = len({(instant.date(), instant.hour) for instant in instants})
    if days > _FEW_DAYS and rows < days * _FEW_ROWS:
        return "month", f"a month, since the sample has {rows // days} rows a day on {days} days"
    if hours > _FEW_HOURS and rows > hours * _MANY_ROWS:
        return "hour", f"an hour, since the sample has {rows // hours} rows an hour"
    return "day", ""


def _event_rank(column: InferredField) -> tuple[bool, bool, int, bool]:
    """Rank a candidate; larger is better: never empty, not a later change, by name, with a time of day."""
    by_name = next((rank for rank, names in enumerate(_EVENT_NAMES) if names.search(column.name)), len(_EVENT_NAMES))
    return column.required, not _LATER_NAMES.search(column.name), -by_name, column.type.logical == "timestamp"


def _as_event_time(column: InferredField) -> InferredField:
    doubts = [doubt for doubt in column.doubts if column.type.logical == "timestamp" or "offset" not in doubt]
    kind = column.type
    if kind.logical == "date":
        kind = replace(kind, logical="timestamp", format=kind.format or "yyyy-MM-dd")
        doubts.append("days only: each counts as midnight UTC")
    if not column.required:
        doubts.append("rows without it go to quarantine")
    return replace(column, type=kind, required=True, doubts=tuple(doubts), why=f"{column.why}; event time")


def _key(fields: list[tuple[InferredField, int]], sample: Sample) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the names of the key fields: one column if it is unique, else two.

    Equal rows are repeated deliveries. Without a key, also return the reason against each candidate.
    """
    rows = list(dict.fromkeys(sample.rows))

    def sharing(places: tuple[int, ...]) -> int:
        seen = Counter(tuple(row[index] for index in places) for row in rows)
        return sum(times for times in seen.values() if times > 1)

    plain = [
        (column, index)
        for column, index in fields
        if column.type.logical in ("string", "integer") and column.required and not column.values
    ]
    named = [(column, index) for column, index in plain if _KEY_NAME.search(column.name)]
    named.sort(key=lambda pair: pair[0].name not in ("id", "uuid", "guid", "key"))
    shared = {column.name: sharing((index,)) for column, index in named}
    for name, times in shared.items():
        if not times:
            return (name,), {}
    parts = [(column, index) for column, index in plain if _PART_NAME.search(column.name)][:6]
    for (first, at_first), (second, at_second) in combinations(parts, 2):
        if not sharing((at_first, at_second)):
            return (first.name, second.name), {}
    near = {name: times for name, times in shared.items() if times * 10 <= len(rows)}
    return (), {
        name: f"no key: {times} of {len(rows)} different rows share their {name} with another"
        for name, times in near.items()
    }


def _as_key(column: InferredField, position: int, parts: int) -> InferredField:
    doubts = (*column.doubts, "key by its name and because no two rows share it") if parts == 1 else column.doubts
    if parts > 1:
        doubts = (*column.doubts, "part of the key: unique together")
    return replace(column, key_position=position if parts > 1 else 1, doubts=doubts, why=f"{column.why}; key")
