"""Content of the catalog page as values; `catalog.json` has the same names. Times are UTC."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

# Version of catalog.json's structure; a change that breaks its readers raises it.
FORMAT = 1


@dataclass(frozen=True, slots=True)
class JsonSource:
    """Keys of the payload that a field is read from: one `key`, a `path` into nested objects, or a `join` of texts."""

    kind: Literal["key", "path", "join"]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Last result of a check."""

    passed: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class AssetColumn:
    """A field of a contract. `rules` are in words, and never contain a value of a confidential field.

    `in_marts` is False for a field that marts cannot read; `protection` is how its values are hidden in staging.
    """

    name: str
    type: str
    description: str
    is_key: bool
    rules: tuple[str, ...]
    classification: str | None
    protection: str | None
    in_marts: bool
    json: JsonSource


@dataclass(frozen=True, slots=True)
class QualityCheck:
    """A check of an asset's windows or of a metric. A blocking one keeps a window from being published."""

    name: str
    description: str
    expects: str
    blocking: bool
    result: CheckResult | None


@dataclass(frozen=True, slots=True)
class Day:
    """Published and quarantined rows of one day, or of one month if the asset's windows are months."""

    day: str
    rows: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class AppliedVersion:
    """Published windows that one version of the contract validated."""

    version: str
    windows: int
    rows: int
    quarantined: int
    duplicates: int
    published_at: datetime


@dataclass(frozen=True, slots=True)
class Rejected:
    """Quarantined rows that broke one rule of one field."""

    rule: str
    field: str | None
    rows: int
    windows: int


@dataclass(frozen=True, slots=True)
class AssetFigures:
    """Figures of one asset from the ledger; `quarantine` is None if its tables could not be read.

    `is_late` is None without a limit, and before the first publication.
    """

    days: tuple[Day, ...]
    versions: tuple[AppliedVersion, ...]
    applied_at: datetime | None
    published_at: datetime | None
    is_late: bool | None
    held_back: tuple[str, ...]
    quarantine: tuple[Rejected, ...] | None


@dataclass(frozen=True, slots=True)
class AssetEntry:
    """One asset: a contract, with the figures of its staging and quarantine tables if there are any."""

    name: str
    description: str
    owners: tuple[str, ...]
    domain: str
    status: str
    version: str
    topic: str
    table: str
    window: str
    key: tuple[str, ...]
    event_time: str | None
    columns: tuple[AssetColumn, ...]
    checks: tuple[QualityCheck, ...]
    freshness_seconds: int | None
    frequency_seconds: int | None
    roster: str | None
    retention: str
    quarantine_budget: str | None
    marts: tuple[str, ...]
    metrics: tuple[str, ...]
    figures: AssetFigures | None


@dataclass(frozen=True, slots=True)
class ColumnSource:
    """Origin of a mart's column: a field of an asset, or a column of another table such as a metric's view.

    `through` are the marts in between, nearest first. Of a star that could not be expanded, the column is `*`.
    """

    kind: Literal["field", "column"]
    table: str
    column: str
    json: JsonSource | None
    through: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MartColumn:
    """A column of a mart. `sources` is None if its lineage is unknown, empty for a count or a constant."""

    name: str
    type: str
    description: str
    rules: tuple[str, ...]
    sources: tuple[ColumnSource, ...] | None


@dataclass(frozen=True, slots=True)
class DataTest:
    """A dbt test of a mart or of one of its columns. `arguments` are in words."""

    name: str
    test: str
    arguments: str
    column: str | None
    severity: str
    result: CheckResult | None


@dataclass(frozen=True, slots=True)
class UnitTest:
    """A dbt unit test: its name is the rule that it holds."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Board:
    """An exposure that reads a mart."""

    name: str
    type: str
    description: str
    owner: str
    url: str | None


@dataclass(frozen=True, slots=True)
class MartEntry:
    """One mart, named by schema and table. `lineage_problem` is the reason that its columns' lineage is unknown."""

    name: str
    description: str
    owners: tuple[str, ...]
    grain: tuple[str, ...]
    columns: tuple[MartColumn, ...]
    sql: str
    compiled_sql: str | None
    data_tests: tuple[DataTest, ...]
    unit_tests: tuple[UnitTest, ...]
    boards: tuple[Board, ...]
    assets: tuple[str, ...]
    metrics: tuple[str, ...]
    marts: tuple[str, ...]
    read_by: tuple[str, ...]
    lineage_problem: str | None


@dataclass(frozen=True, slots=True)
class MetricMeasure:
    """One number of a metric."""

    name: str
    function: str
    field: str | None
    description: str


@dataclass(frozen=True, slots=True)
class MetricEntry:
    """One streaming metric. `filters` are in words."""

    name: str
    description: str
    owners: tuple[str, ...]
    version: str
    source: str
    groups: tuple[str, ...]
    measures: tuple[MetricMeasure, ...]
    filters: tuple[str, ...]
    transform: str | None
    window_seconds: int
    lateness_seconds: int
    tables: tuple[str, ...]
    topic: str
    marts: tuple[str, ...]
    checks: tuple[QualityCheck, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """All that is on the page. `notes` are sentences about what is left out, `format` is that of catalog.json."""

    format: int
    built_at: datetime
    target: str
    has_figures: bool
    assets: tuple[AssetEntry, ...]
    marts: tuple[MartEntry, ...]
    metrics: tuple[MetricEntry, ...]
    notes: tuple[str, ...]
