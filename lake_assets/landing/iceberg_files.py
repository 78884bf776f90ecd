"""File input and output of pyiceberg, on the lake's own file systems: one way for every kind of bucket."""

from functools import lru_cache
from io import BufferedWriter, FileIO
from pathlib import Path

from pyarrow.fs import FileSystem

from lake_assets.blocked_imports import blocked_import
from lake_assets.local_files import make_folder, sync
from lake_assets.object_stores import store_of

# pyarrow's datasets load pandas if it is installed, in case it is needed later.
with blocked_import("pandas"):
    from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO

from pyiceberg.typedef import EMPTY_DICT, Properties

# Properties that make a catalog or a table use it.
FILES = {"py-io-impl": f"{__name__}.BucketFiles"}


class BucketFiles(PyArrowFileIO):
    """File access with credentials and endpoints from one place, and without a JVM for hdfs://."""

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)
        # That of pyiceberg creates the folders of a file that it writes.
        folders = self.fs_by_scheme

        def file_system(scheme: str, host: str | None) -> FileSystem:
            return folders(scheme, host) if scheme == "file" else store_of(f"{scheme}://{host or ''}").filesystem()

        self.fs_by_scheme = lru_cache(file_system)

    def new_output(self, location: str) -> PyArrowFile:
        scheme, _, path = self.parse_location(location, self.properties)
        return (
            DurableFile(location, path, self.fs_by_scheme(scheme, None))
            if scheme == "file"
            else super().new_output(location)
        )


class DurableFile(PyArrowFile):
    """A file of a folder: it is on the disk when it is closed, before the commit that names it."""

    # pyiceberg's protocol names the arguments of a stream, which Python's own has by position only.
    def create(self, overwrite: bool = False) -> "SyncedWriter":  # pyright: ignore[reportIncompatibleMethodOverride]
        """Open the file for writing. Raises FileExistsError if it exists and may not be overwritten, OSError."""
        if not overwrite and self.exists():
            raise FileExistsError(f"Cannot create file, already exists: {self.location}")
        path = Path(self._path)
        make_folder(path.parent)
        return SyncedWriter(path)


class SyncedWriter(BufferedWriter):
    """A file that is synced with its name when it is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(FileIO(path, "wb"))
        self._path = path

    def close(self) -> None:
        if not self.closed:
            super().close()
            sync(self._path)
            sync(self._path.parent)
