"""Model of the catalog: one contract as frozen values, from which everything else is compiled."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Literal

from lake_assets.catalog.names import NAME_PATTERN
from lake_assets.catalog.table_counts import TableName

TypeName = Literal["string", "boolean", "integer", "decimal", "double", "date", "timestamp", "json"]
WindowSize = Literal["hour", "day", "month"]
Engine = Literal["duckdb", "spark", "auto"]
Compatibility = Literal["additive", "none"]
Status = Literal["draft", "active", "deprecated"]
Protection = Literal["tokenise", "drop"]
Operator = Literal["=", "!=", "<", "<=", ">", ">=", "between", "not between"]

# From the least to the most confidential; analysts may see the first two.
CLASSIFICATIONS = ("public", "internal", "confidential", "restricted", "personal")
CONFIDENTIAL = CLASSIFICATIONS[2:]


@dataclass(frozen=True, slots=True)
class FieldType:
    """A warehouse-neutral type. `precision` and `scale` are set for decimals only; timestamps are UTC."""

    name: TypeName
    precision: int | None = None
    scale: int | None = None

    def __str__(self) -> str:
        return f"decimal({self.precision},{self.scale})" if self.name == "decimal" else self.name


@dataclass(frozen=True, slots=True)
class Field:
    """One declared column and its row rules. `format` is a JDK DateTimeFormatter pattern, `epoch_millis` or
    `epoch_seconds`; without one, dates and timestamps are ISO 8601 and a missing offset means UTC. Of a number it is
    `decimal comma`, of a boolean the words for true and false (`yes/no`). `pattern` is a
    regular expression of RE2 that the whole value must match. `source` is the payload's JSON key when that is not the
    field's name. `path` leads to a value within a nested object instead, `join` names the keys whose texts are put
    together with blanks between them. `nulls` are the texts that mean no value. Of a number, `thousands` names what
    stands between thousands, and `unit` is the text before or after each. Years of two digits
    are those of the hundred years from `first_year`. A `protection` keeps its values out of
    staging: a token stands there, or nothing. A field `has_twin` when the key of a field before it differs from its own
    by case only, which engines do not distinguish in a struct."""

    name: str
    type: FieldType
    required: bool = False
    description: str = ""
    format: str | None = None
    enum: tuple[str, ...] = ()
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    classification: str | None = None
    source: str = ""
    protection: Protection | None = None
    nulls: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    join: tuple[str, ...] = ()
    has_twin: bool = False
    thousands: str = ""
    unit: str = ""
    first_year: int | None = None

    @property
    def form(self) -> str:
        """Return how values are written, in words; empty when that is plain."""
        parts = (self.format, self.thousands and f"thousands {self.thousands}", self.unit and f"unit {self.unit}")
        return ", ".join(filter(None, parts))

    @property
    def is_derived(self) -> bool:
        """Return True if the field is read from other keys than its own."""
        return bool(self.path or self.join)

    @property
    def payload_key(self) -> str:
        """The field's JSON key in the payload; for a CSV, the exact header. A derived field has none: see
        `payload_keys`."""
        return self.source or self.name

    @property
    def payload_keys(self) -> tuple[str, ...]:
        """The JSON keys of the payload that the field is read from."""
        return self.path[:1] or self.join or (self.payload_key,)

    @property
    def is_confidential(self) -> bool:
        """True if its values must be hidden in marts, in a quarantine's reasons and in logs."""
        return self.protection is not None or self.classification in CONFIDENTIAL

    @property
    def is_shown(self) -> bool:
        """True if marts can have it: a confidential field only as a token."""
        return self.protection == "tokenise" or not self.is_confidential


@dataclass(frozen=True, slots=True)
class Check:
    """A check of one window before it is published: `query` yields one number, compared with `bounds`.

    The query reads the relation `conformed`, which holds the window's good rows. A blocking check that fails keeps
    the window from being published; another only warns.
    """

    name: str
    query: str
    operator: Operator
    bounds: tuple[Decimal, ...]
    blocking: bool = True
    description: str = ""


@dataclass(frozen=True, slots=True)
class QuarantineBudget:
    """Limits of the quarantined rows of a published window: their number, and their percent of rows without duplicates.

    At least one is set, and both apply.
    """

    rows: int | None = None
    percent: Decimal | None = None

    def __str__(self) -> str:
        limits = [f"{self.rows} rows"] if self.rows is not None else []
        return " and ".join([*limits, *([f"{self.percent:f} percent"] if self.percent is not None else [])])


@dataclass(frozen=True, slots=True)
class Retention:
    """Retention of windows in each place, counted from a window's end; None is for ever."""

    raw: timedelta | None = None
    staging: timedelta | None = None
    quarantine: timedelta | None = None

    def __str__(self) -> str:
        lengths = (("raw", self.raw), ("staging", self.staging), ("quarantine", self.quarantine))
        return ", ".join(f"{element} {length}" for element, length in lengths if length) or "for ever"


@dataclass(frozen=True, slots=True)
class Asset:
    """One dataset with its whole pipeline, as its contract defines it; each major version of that is an asset.

    The versions of a `dataset` share topic and raw table; everything after that is separate.
    `key` names the fields that identify an event (of equal keys in a window, the latest is kept). `event_time` names
    the timestamp field that determines the window, None for the time of sending. `freshness` is the longest acceptable
    age of the newest materialization, `frequency` the longest time without an event on its topic, and `roster` the
    field that identifies its producers. `encoding` is that of the lines of its files that are not UTF-8. With `status`
    draft the contract may change in any way.
    """

    dataset: str
    domain: str
    version: str
    description: str
    owners: tuple[str, ...]
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    event_time: str | None
    window: WindowSize = "day"
    topic: str = ""
    encoding: str | None = None
    partitions: int = 4
    engine: Engine = "auto"
    entrypoint: str | None = None
    unknown_fields: Literal["keep", "reject"] = "keep"
    compatibility: Compatibility = "additive"
    status: Status = "active"
    freshness: timedelta | None = None
    frequency: timedelta | None = None
    roster: str | None = None
    retention: Retention = field(default_factory=Retention)
    checks: tuple[Check, ...] = ()
    quarantine: QuarantineBudget | None = None
    path: PurePath = field(default_factory=PurePath)

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def name(self) -> str:
        """Name of the asset and of its staging table: the dataset's, with the major version from the second one on."""
        return self.dataset if self.major <= 1 else f"{self.dataset}_v{self.major}"

    @property
    def routes_itself(self) -> bool:
        """Return True if the raw table has the topic's name, as for every topic that is named <domain>.<name>."""
        domain, _, name = self.topic.partition(".")
        return not self.topic or (domain == self.domain and bool(re.fullmatch(NAME_PATTERN[1:-1], name)))

    @property
    def raw_name(self) -> tuple[str, str]:
        """Namespace and name of the raw table: the topic's, or those of the dataset when the topic has no such name."""
        name = self.topic.partition(".")[2] if self.topic and self.routes_itself else self.dataset
        return self.domain, name

    @property
    def staging_schema(self) -> str:
        return f"{self.dataset}_staging"

    @property
    def event_time_column(self) -> str:
        """Name of the event time column in conformed and staging rows."""
        return self.event_time or "_event_at"

    @property
    def has_tokens(self) -> bool:
        """True if values are tokenised, which needs the lake's key."""
        return any(field.protection == "tokenise" for field in self.fields)

    @property
    def keeps_payloads(self) -> bool:
        """True if quarantine keeps payloads and keys: not if they contain a protected field."""
        return not any(field.protection for field in self.fields)

    @property
    def is_confidential(self) -> bool:
        """True if a payload can have a confidential field, wherever that is in a broken one."""
        return any(field.is_confidential for field in self.fields)

    @property
    def quarantine_table(self) -> str:
        return f"{self.name}_quarantine"

    def table_name(self, table: TableName) -> str:
        """Return the name of the staging or the quarantine table."""
        return self.name if table == "staging" else self.quarantine_table

    def field(self, name: str) -> Field:
        """Return the declared field of that name. Raises KeyError when there is none."""
        for candidate in self.fields:
            if candidate.name == name:
                return candidate
        raise KeyError(name)
