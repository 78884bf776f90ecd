"""Creation and comparison of the raw Iceberg tables, as compiled."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from lake_assets.compile.raw_table import RawTableSpec
from lake_assets.landing.raw_catalog import raw_catalog
from lake_assets.landing.table_metadata import Damage, TableMetadata, read_metadata
from lake_assets.settings import Settings

if TYPE_CHECKING:
    from pyiceberg.catalog import MetastoreCatalog
    from pyiceberg.types import ListType

# Field ids are Iceberg's names for columns; statistics in manifests use them.
PARTITION_ID, OFFSET_ID = 3, 4
_AT_ONCE = 8

Outcome = Literal["created", "updated", "unchanged", "differs"]


@dataclass(frozen=True, slots=True)
class RawTableReport:
    """Outcome for one raw table. `differs` cannot be changed in place; `differences` are for users."""

    identifier: tuple[str, str]
    outcome: Outcome
    differences: tuple[str, ...] = ()


def compare_raw_tables(settings: Settings, specs: Sequence[RawTableSpec]) -> list[RawTableReport]:
    """Return what `ensure_raw_tables` would do, in the order of `specs`; changes nothing. Raises Unavailable."""
    by_table = read_metadata(settings, [spec.identifier for spec in specs])
    return [_compare(by_table.get(spec.identifier), spec) for spec in specs]


def ensure_raw_tables(settings: Settings, specs: Sequence[RawTableSpec]) -> list[RawTableReport]:
    """Create missing tables, add new columns, and set properties that differ.

    Other windows than the table was created with are only reported, because its files keep their partitions.
    Raises Unavailable.
    """
    reports = compare_raw_tables(settings, specs)
    outcomes = list(zip(specs, (report.outcome for report in reports), strict=True))
    create = [spec for spec, outcome in outcomes if outcome == "created"]
    update = [spec for spec, outcome in outcomes if outcome == "updated"]
    if create or update:
        with raw_catalog(settings) as catalog, ThreadPoolExecutor(_AT_ONCE) as pool:
            for namespace in sorted({spec.namespace for spec in create}):
                catalog.create_namespace_if_not_exists(namespace)
            # Each is a commit of its own, which waits for the catalog and the bucket.
            list(pool.map(partial(create_raw_table, catalog), create))
            list(pool.map(partial(_update, catalog), update))
    return reports


def raw_location(settings: Settings, spec: RawTableSpec) -> str | None:
    """Return the folder of a raw table's files; None when there is no table. Raises Unavailable."""
    from pyiceberg.exceptions import NoSuchTableError

    with raw_catalog(settings) as catalog:
        try:
            return catalog.load_table(spec.identifier).location()
        except NoSuchTableError:
            return None


def drop_raw_table(settings: Settings, spec: RawTableSpec) -> bool:
    """Remove the table from the catalog if it exists; its files stay. Return True if its domain has other tables.

    Raises Unavailable.
    """
    from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

    with raw_catalog(settings) as catalog, suppress(NoSuchNamespaceError):
        with suppress(NoSuchTableError):
            catalog.drop_table(spec.identifier)
        return bool(catalog.list_tables(spec.namespace))
    return False


def _settable(spec: RawTableSpec) -> dict[str, str]:
    """Return the table's properties without the format version, which is fixed at its creation."""
    return {key: value for key, value in spec.properties.items() if key != "format-version"}


def _compare(table: TableMetadata | Damage | None, spec: RawTableSpec) -> RawTableReport:
    if table is None:
        return RawTableReport(spec.identifier, "created")
    if isinstance(table, Damage):
        return RawTableReport(spec.identifier, "differs", (f"its metadata cannot be read ({table.cause}): restore it",))
    changed = tuple(
        f"{key} is {table.properties.get(key)}, not {value}"
        for key, value in _settable(spec).items()
        if table.properties.get(key) != value
    )
    if "_headers" not in table.columns:
        changed = ("it has no column _headers yet", *changed)
    cut = ", ".join(table.transforms) or "nothing"
    if cut != spec.transform:
        return RawTableReport(
            spec.identifier,
            "differs",
            (f"it is partitioned by {cut}, not by {spec.transform}: windows stay as created", *changed),
        )
    return RawTableReport(spec.identifier, "updated" if changed else "unchanged", changed)


def _headers(first: int) -> "ListType":
    """Return the type of a record's headers, in their order; `first` and the ids after it are free."""
    from pyiceberg.types import BinaryType, ListType, NestedField, StringType, StructType

    name = NestedField(first + 1, "name", StringType(), required=True)
    value = NestedField(first + 2, "value", BinaryType())
    return ListType(first, StructType(name, value), element_required=True)


def _update(catalog: "MetastoreCatalog", spec: RawTableSpec) -> None:
    table = catalog.load_table(spec.identifier)
    with table.transaction() as transaction:
        if "_headers" not in table.schema().column_names:
            with transaction.update_schema() as schema:
                schema.add_column("_headers", _headers(1))
        transaction.set_properties(dict(_settable(spec)))


def create_raw_table(catalog: "MetastoreCatalog", spec: RawTableSpec) -> None:
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.schema import Schema
    from pyiceberg.transforms import DayTransform, HourTransform, MonthTransform, Transform
    from pyiceberg.types import BinaryType, IntegerType, LongType, NestedField, StringType, TimestamptzType

    timestamp = 5
    # The fields of a header have the ids 8 to 10, in the order in which Iceberg assigns them.
    schema = Schema(
        NestedField(1, "payload", BinaryType()),
        NestedField(2, "_topic", StringType()),
        NestedField(PARTITION_ID, "_partition", IntegerType()),
        NestedField(OFFSET_ID, "_offset", LongType()),
        NestedField(timestamp, "_timestamp", TimestamptzType()),
        NestedField(6, "_key", BinaryType()),
        NestedField(7, "_headers", _headers(8)),
    )
    transforms: dict[str, Transform[Any, Any]] = {
        "hour": HourTransform(),
        "day": DayTransform(),
        "month": MonthTransform(),
    }
    partition = PartitionSpec(PartitionField(timestamp, 1000, transforms[spec.transform], f"event_{spec.transform}"))
    catalog.create_table_if_not_exists(
        spec.identifier, schema, partition_spec=partition, properties=dict(spec.properties)
    )
