"""File input and output of pyiceberg, on the lake's own file systems: one way for every kind of bucket."""

from functools import lru_cache

from pyarrow.fs import FileSystem

from lake_assets.blocked_imports import blocked_import
from lake_assets.object_stores import store_of

# pyarrow's datasets load pandas if it is installed, in case it is needed later.
with blocked_import("pandas"):
    from pyiceberg.io.pyarrow import PyArrowFileIO

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
