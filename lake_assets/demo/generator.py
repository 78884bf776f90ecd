"""Example events: leads, the deals (contracts) from some of them, and sales; deterministic in the arguments.

A known share of the lines is late, repeated, or broken, to show late windows, duplicates and quarantine. `expected`
computes the rows of each kind without looking at a pipeline's output.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Literal, NamedTuple

Kind = Literal["plain", "late", "month_late", "doubled", "extra", "not_json", "missing", "type", "enum", "invalid_utf8"]

# Leads per deal: `contracts` of N rows belong to `leads` of this many times N rows.
LEADS_PER_CONTRACT = 5
# Lines of each kind in ten thousand; all others are plain.
SHARES: dict[Kind, int] = {
    "late": 200, "month_late": 20, "doubled": 100, "extra": 50,
    "not_json": 15, "missing": 20, "type": 20, "enum": 15, "invalid_utf8": 10,
}  # fmt: skip
BROKEN: frozenset[Kind] = frozenset({"not_json", "missing", "type", "enum", "invalid_utf8"})
_KINDS: tuple[Kind, ...] = tuple(kind for kind, share in SHARES.items() for _ in range(share))
_PLAIN_FROM, _CYCLE = len(_KINDS), 10_000

_ORIGINS = ("web",) * 6 + ("referral",) * 3 + ("partner",) * 3 + ("event",) * 2 + ("phone",) * 2
_CONVERSION = {"web": 2, "phone": 3, "event": 4, "partner": 6, "referral": 9}
_CAMPAIGNS = ("null", '"spring"', '"summer_sale"', '"newsletter"', "null", '"retargeting"', "null", '"launch"')
_COUNTRIES = ("DE", "FR", "GB", "US", "NL", "ES", "IT", "PL")
_CURRENCIES = {"GB": "GBP", "US": "USD"}
_PLANS = (("starter", 9_900), ("team", 49_900), ("team", 59_900), ("enterprise", 249_000))
_PEOPLE = ("null", '"a.weber"', '"j.martin"', '"k.nowak"', '"s.rossi"', '"m.smith"', "null", '"p.jansen"')
_REGIONS = ("north",) * 5 + ("south",) * 4 + ("east",) * 3 + ("west",) * 4
_PRODUCTS = (("kettle", 3_499), ("toaster", 4_990), ("blender", 7_950), ("grinder", 5_925), ("scale", 1_999),
             ("espresso machine", 48_900), ("filter papers", 449), ("mug", 1_250))  # fmt: skip
_SEGMENTS = ("private", "private", "private", "business")

_DAY = 86_400
_MINUTES = tuple(f"{minute // 60:02d}:{minute % 60:02d}:" for minute in range(1440))
_SECONDS = tuple(f"{second:02d}Z" for second in range(60))


@dataclass(frozen=True, slots=True)
class Expected:
    """Expected outcome of the lines: `lines` = `good` + `duplicates` + all `quarantined` (rows by error code).

    `late` and `extra` (an undeclared field) are among the good.
    """

    lines: int
    good: int
    duplicates: int
    late: int
    extra: int
    quarantined: Counter[str] = field(default_factory=Counter[str])


class _Asset(NamedTuple):
    """The writer of an asset's events, and the field of each flaw."""

    write: Callable[["_Series", int, int, int], str]
    required: str
    number: str
    choice: str
    text: str


class _Series(NamedTuple):
    """`rows` events evenly from `start` on, for `span` seconds; both are whole seconds since 1970 UTC."""

    rows: int
    seed: int
    start: int
    span: int

    def draws(self) -> Iterator[int]:
        """Yield 64 random bits for each event."""
        draw = Random(self.seed).getrandbits  # noqa: S311
        return (draw(64) for _ in range(self.rows))


def generate(asset_name: str, rows: int, seed: int, end: datetime, days: int) -> Iterator[bytes]:
    """Yield `rows` JSON lines of `leads`, `contracts` or `sales`, over `days` days before `end` (with a time zone).

    Raises KeyError for another asset's name.
    """
    asset, series = _ASSETS[asset_name], _series(rows, seed, end, days)
    write, start, span = asset.write, series.start, series.span
    sent = b""
    for number, bits in enumerate(series.draws()):
        time = start + number * span // rows
        # Nearly all are plain, so the values for the others are not even computed.
        if bits % _CYCLE >= _PLAIN_FROM:
            sent = write(series, number, bits, time).encode()
            yield sent
            continue
        kind = _kind(bits)
        if kind == "doubled" and sent:
            yield sent
            continue
        line = write(series, number, bits, time - _lateness(kind, bits))
        event = _flawed(asset, kind, line) if kind in BROKEN or kind == "extra" else line.encode()
        if kind not in BROKEN:
            sent = event
        yield event


def expected(asset_name: str, rows: int, seed: int, end: datetime, days: int) -> Expected:
    """Return the expected outcome of the lines that `generate` yields for the same arguments."""
    counts = Counter(kinds(rows, seed, end, days))
    quarantined = Counter({str(kind): counts[kind] for kind in sorted(BROKEN) if counts[kind]})
    return Expected(
        lines=rows,
        good=rows - counts["doubled"] - quarantined.total(),
        duplicates=counts["doubled"],
        late=counts["late"] + counts["month_late"],
        extra=counts["extra"],
        quarantined=quarantined,
    )


def kinds(rows: int, seed: int, end: datetime, days: int) -> Iterator[Kind]:
    """Yield the kind of each line that `generate` yields for the same arguments, for any asset."""
    sent = False
    for bits in _series(rows, seed, end, days).draws():
        kind = _kind(bits)
        # A repeated line needs a line before it.
        yield kind if sent or kind != "doubled" else "plain"
        sent = sent or kind not in BROKEN


def _series(rows: int, seed: int, end: datetime, days: int) -> _Series:
    return _Series(rows, seed, int(end.timestamp()) - days * _DAY, days * _DAY)


def _kind(bits: int) -> Kind:
    index = bits % _CYCLE
    return "plain" if index >= _PLAIN_FROM else _KINDS[index]


def _lateness(kind: Kind, bits: int) -> int:
    """Return the seconds by which an event's time precedes its neighbours'."""
    if kind == "late":
        return 3600 + (bits >> 20) % (2 * _DAY)
    return 30 * _DAY if kind == "month_late" else 0


def _lead(series: _Series, number: int, bits: int, time: int) -> str:
    origin, country = _traits(series.seed, number)
    return (
        f'{{"lead_id": "L-{number:08d}", "origin": "{origin}", "campaign": {_CAMPAIGNS[bits >> 20 & 7]}, '
        f'"email": "person{bits >> 40 & 0xFFFFF}@example.com", "country": "{country}", '
        f'"company_size": {1 + (bits >> 24 & 1023)}, "consent": {"true" if bits >> 34 & 3 else "false"}, '
        f'"created_at": "{_text(time)}"}}'
    )


def _traits(seed: int, lead: int) -> tuple[str, str]:
    """Return origin and country of a lead; a separate function, because its contract needs them too."""
    bits = lead * 2_654_435_761 + seed * 40_503 >> 11
    return _ORIGINS[bits & 15], _COUNTRIES[bits >> 4 & 7]


def _contract(series: _Series, number: int, bits: int, time: int) -> str:
    """Write a deal: of two leads one signs, by the chances of their origins, some days after it came in.

    A late deal's lead is older than its neighbours' by as much.
    """
    rows, seed, start, span = series
    earlier = start + number * span // rows - time
    block = max(0, number - earlier * rows // span) * LEADS_PER_CONTRACT
    lead, other = block + (bits >> 8) % LEADS_PER_CONTRACT, block + (bits >> 12) % LEADS_PER_CONTRACT
    (origin, country), (rival, abroad) = _traits(seed, lead), _traits(seed, other)
    chance, against = _CONVERSION[origin], _CONVERSION[rival]
    if (bits >> 16 & 0xFFFF) * (chance + against) >= chance << 16:
        lead, country = other, abroad
    created = start + lead * span // (rows * LEADS_PER_CONTRACT)
    signed = min(created + (bits >> 32) % (14 * _DAY), start + span - 1)
    product, price = _PLANS[bits >> 46 & 3]
    months = 12 * (1 + (bits >> 48) % 3)
    cents = price * months * (80 + (bits >> 50) % 21) // 100
    return (
        f'{{"contract_id": "C-{number:08d}", "lead_id": "L-{lead:08d}", "product": "{product}", '
        f'"amount": {cents // 100}.{cents % 100:02d}, "currency": "{_CURRENCIES.get(country, "EUR")}", '
        f'"term_months": {months}, "sales_person": {_PEOPLE[bits >> 56 & 7]}, "signed_at": "{_text(signed)}"}}'
    )


def _sale(series: _Series, number: int, bits: int, time: int) -> str:
    product, price = _PRODUCTS[bits >> 16 & 7]
    quantity = 1 + (bits >> 20 & 3) * (bits >> 22 & 1)
    cents = price * quantity
    return (
        f'{{"order_id": "O-{number:08d}", "region": "{_REGIONS[bits >> 24 & 15]}", "product": "{product}", '
        f'"quantity": {quantity}, "amount": {cents // 100}.{cents % 100:02d}, '
        f'"customer": {{"id": "K-{bits >> 40 & 0xFFFF:05d}", "segment": "{_SEGMENTS[bits >> 28 & 3]}"}}, '
        f'"ordered_at": "{_text(time)}"}}'
    )


def _flawed(asset: _Asset, kind: Kind, line: str) -> bytes:
    if kind == "not_json":
        return line[: len(line) * 2 // 3].encode()
    event = json.loads(line)
    match kind:
        case "extra":
            event["utm_term"] = "coffee"
        case "missing":
            del event[asset.required]
        case "type":
            event[asset.number] = "a dozen"
        case "enum":
            event[asset.choice] = "atlantis"
        case _:
            event[asset.text] = "caf\udce9"  # Latin-1, as an old system would send it
    return json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogateescape")


def _text(time: int) -> str:
    day, second = divmod(time, _DAY)
    return _day(day) + _MINUTES[second // 60] + _SECONDS[second % 60]


@lru_cache(maxsize=4096)
def _day(day: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).strftime("%Y-%m-%dT")


_ASSETS: dict[str, _Asset] = {
    "leads": _Asset(_lead, required="country", number="company_size", choice="origin", text="email"),
    "contracts": _Asset(_contract, required="lead_id", number="amount", choice="currency", text="sales_person"),
    "sales": _Asset(_sale, required="region", number="quantity", choice="region", text="product"),
}
