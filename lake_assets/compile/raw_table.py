"""Asset -> raw Iceberg table: every event byte for byte, partitioned into windows by the record timestamp."""

from collections.abc import Mapping
from dataclasses import dataclass

from lake_assets.catalog.model import Asset, WindowSize

# One metadata file per commit, every second, must not accumulate; a reader needs one for milliseconds.
KEPT_METADATA_FILES = 100


@dataclass(frozen=True, slots=True)
class RawTableSpec:
    """The desired state of a raw table: `transform` partitions `_timestamp` (UTC) into the asset's windows."""

    namespace: str
    name: str
    transform: WindowSize
    properties: Mapping[str, str]

    @property
    def identifier(self) -> tuple[str, str]:
        return (self.namespace, self.name)


def raw_table(asset: Asset) -> RawTableSpec:
    """Return the raw table of one asset."""
    namespace, name = asset.raw_name
    return RawTableSpec(
        namespace,
        name,
        asset.window,
        {
            "format-version": "2",
            "write.parquet.compression-codec": "zstd",
            "write.metadata.delete-after-commit.enabled": "true",
            "write.metadata.previous-versions-max": str(KEPT_METADATA_FILES),
            # Bounds of bytes columns help no query, and without them manifests are a third smaller.
            "write.metadata.metrics.column.payload": "none",
            "write.metadata.metrics.column._key": "none",
            "write.metadata.metrics.column._headers.element.name": "none",
            "write.metadata.metrics.column._headers.element.value": "none",
            # Each commit adds a manifest, and opening one costs a reader more than its entries do. Merged ones stay
            # small, since a reader of the newest commit reads the manifest that it was merged into.
            "commit.manifest.min-count-to-merge": "20",
            "commit.manifest.target-size-bytes": str(256 << 10),
        },
    )
