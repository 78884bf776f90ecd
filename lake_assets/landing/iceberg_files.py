"""pyiceberg's file input and output, on the lake's own file systems: one way for every kind of bucket."""

from functools import lru_cache

from pyarrow.fs import FileSystem

from lake_assets.blocked_imports import blocked_import
from lake_assets.object_stores import store_of

# pyarrow's datasets load pandas where there is one, in case somebody asks for it later.
with blocked_import("pandas"):
    from pyiceberg.io.pyarrow import PyArrowFileIO

from pyiceberg.typedef import EMPTY_DICT, Properties

# What makes a catalog or a table use it.
FILES = {"py-io-impl": f"{__name__}.BucketFiles"}


class BucketFiles(PyArrowFileIO):
    """Credentials and endpoints are then found in one place, and hdfs:// needs no JVM here."""

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)
        # pyiceberg's own makes the folders of a file that it writes.
        folders = self.fs_by_scheme

        def file_system(scheme: str, host: str | None) -> FileSystem:
            return folders(scheme, host) if scheme == "file" else store_of(f"{scheme}://{host or ''}").filesystem()

        self.fs_by_scheme = lru_cache(file_system)
