"""Iceberg's `replace` operation: other files with the same rows. pyiceberg has none of its own."""

from collections.abc import Mapping
from typing import Any

from pyiceberg.manifest import ManifestEntry, ManifestEntryStatus, ManifestFile
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update.snapshot import _OverwriteFiles  # pyright: ignore[reportPrivateUsage]
from pyiceberg.typedef import EMPTY_DICT


class SameRows(_OverwriteFiles):
    """An overwrite whose new files keep an old data sequence number, given by path.

    Iceberg's specification lets an added file name one; otherwise it inherits that of its snapshot. The old number
    shows readers that the rows are not new.
    """

    def __init__(self, sequences: Mapping[str, int], **options: Any) -> None:
        super().__init__(operation=Operation.OVERWRITE, **options)
        self._sequences = sequences

    def _manifests(self) -> list[ManifestFile]:
        added, self._added_data_files = self._added_data_files, []
        try:
            others = super()._manifests()
        finally:
            self._added_data_files = added
        if not added:
            return others
        with self.new_manifest_writer(self._transaction.table_metadata.spec()) as writer:
            for file in added:
                writer.add(
                    ManifestEntry.from_args(
                        status=ManifestEntryStatus.ADDED,
                        snapshot_id=self._snapshot_id,
                        sequence_number=self._sequences[file.file_path],
                        data_file=file,
                    )
                )
        return [writer.to_manifest_file(), *others]

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        """Return the summary of an overwrite as that of a `replace`, for which pyiceberg has none."""
        summary = super()._summary(snapshot_properties)
        return Summary(operation=Operation.REPLACE, **summary.additional_properties)
