"""The current snapshot of a raw table and the entries of its manifests. Only metadata is read, no data.

The files of a table are those that a snapshot names and no others: killed workers leave orphans in the bucket. Reading
while the sink commits is safe, because a snapshot's metadata never changes; if it was deleted meanwhile
(`lake maintain`, or a hundred commits later), the newest snapshot is read instead.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from lake_assets.catalog.model import Asset
from lake_assets.compile.raw_table import raw_table
from lake_assets.errors import LakeError
from lake_assets.landing.raw_catalog import RawTableError, pointers
from lake_assets.landing.raw_windows import WindowCut, window_cut
from lake_assets.settings import Settings

if TYPE_CHECKING:
    from pyiceberg.manifest import ManifestEntry, ManifestFile
    from pyiceberg.table import StaticTable, Table

_ATTEMPTS = 3


class _PartitionField(Protocol):
    """A field of a partition spec. pyiceberg does not declare the types of its transform."""

    @property
    def transform(self) -> object: ...


_T = TypeVar("_T")


def read_table(settings: Settings, asset: Asset, read: "Callable[[StaticTable], _T]", pointer: str | None = None) -> _T:
    """Return `read` of the asset's table at `pointer`; at the newest one if that is None or its files are missing.

    Raises RawTableError when the asset has no table or its metadata cannot be read, Unavailable when the catalog does
    not answer.
    """
    from pyiceberg.table import StaticTable

    from lake_assets.landing.iceberg_files import FILES

    for attempt in range(1, _ATTEMPTS + 1):
        identifier = raw_table(asset).identifier
        location = pointer or pointers(settings, [identifier]).get(identifier)
        if location is None:
            raise RawTableError(f"asset '{asset.name}' has no raw table yet: create it with `lake apply`.")
        try:
            return read(StaticTable.from_metadata(location, FILES))
        except LakeError:
            raise
        # Files of any content and any kind of bucket are read there, each with errors of its own.
        except Exception as error:
            if not isinstance(error, FileNotFoundError) or attempt == _ATTEMPTS:
                raise RawTableError(
                    f"the metadata of raw table {'.'.join(identifier)} cannot be read ({type(error).__name__}: "
                    f"{next(iter(str(error).splitlines()), '')}): restore the file, and all continues by itself."
                ) from error
        pointer = None
    raise AssertionError("the last attempt returns or raises")


def entries(
    table: "StaticTable | Table",
    asset: Asset,
    wanted: "Callable[[ManifestFile, WindowCut], bool]" = lambda manifest, cut: True,
) -> "Iterator[tuple[WindowCut, ManifestEntry]]":
    """Yield the live entries of the current snapshot's `wanted` manifests, each with the partitioning of its file.

    Raises RawTableError for delete files, and for partitions that do not separate the windows.
    """
    from pyiceberg.manifest import ManifestContent

    snapshot = table.current_snapshot()
    name = ".".join(raw_table(asset).identifier)
    cuts: dict[int, WindowCut] = {}
    for manifest in snapshot.manifests(table.io) if snapshot else ():
        if manifest.content != ManifestContent.DATA:
            raise RawTableError(
                f"raw table {name} has delete files, which the lake never writes: raw events are kept unchanged, "
                "so find out which process deleted there."
            )
        spec = manifest.partition_spec_id
        if spec not in cuts:
            cuts[spec] = _cut(name, _transforms(table.specs()[spec].fields), asset)
        if wanted(manifest, cuts[spec]):
            for entry in manifest.fetch_manifest_entry(table.io):
                yield cuts[spec], entry


def sequence_number(table: "StaticTable") -> int:
    """Return Iceberg's sequence number of the current snapshot; 0 before the first commit."""
    snapshot = table.current_snapshot()
    return (snapshot.sequence_number or 0) if snapshot else 0


def _transforms(fields: Iterable[_PartitionField]) -> list[str]:
    return [str(field.transform) for field in fields]


def _cut(name: str, transforms: Sequence[str], asset: Asset) -> WindowCut:
    cut = window_cut(transforms, asset.window)
    if cut is None:
        raise RawTableError(
            f"raw table {name} is partitioned by {', '.join(transforms) or 'nothing'}, which does not "
            f"separate windows of one {asset.window}: set the window of asset '{asset.name}' to match it."
        )
    return cut
