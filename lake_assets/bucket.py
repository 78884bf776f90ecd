"""Access to the bucket by URL: a folder, S3, Google Cloud Storage or HDFS, all through pyarrow's file systems.

Every file in use is known by name: only `delete_job_output` lists files.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lake_assets.errors import Unavailable
from lake_assets.local_files import make_folder, put_in_place
from lake_assets.object_stores import scheme, store_of

if TYPE_CHECKING:
    import duckdb
    from pyarrow.fs import FileSystem

# DuckDB compares a file's time with the one that it saw before.
_NEVER_CHANGED = datetime(1970, 1, 1, tzinfo=UTC)


def opened(url: str) -> "tuple[FileSystem, str]":
    """Return the file system of a URL or plain path, and the path in it. Raises UnknownStore."""
    return store_of(url).filesystem(), path_of(url)


def is_local(url: str) -> bool:
    """Return True for a file of this machine: `file:` or a plain path."""
    return "://" not in url or url.startswith("file:")


def local_path(url: str) -> str:
    """Return `/x` for `file:///x`, and anything else unchanged, as DuckDB accepts it."""
    return "/" + url.removeprefix("file:").lstrip("/") if url.startswith("file:") else url


def path_of(url: str) -> str:
    """Return the path in the URL's file system."""
    if is_local(url):
        return local_path(url)
    rest = url.partition("://")[2]
    return "/" + rest.partition("/")[2] if scheme(url) == "hdfs" else rest


def read(url: str) -> bytes | None:
    """Return the whole file, or None if it does not exist."""
    system, path = opened(url)
    try:
        with system.open_input_stream(path) as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def write(url: str, content: bytes) -> None:
    """Create or replace the file atomically for readers."""
    with written(url) as path:
        path.write_bytes(content)


@contextmanager
def written(url: str, *, durable: bool = True) -> Iterator[Path]:
    """Yield a local path to write to; afterwards the file is at the URL, complete or not at all.

    On this machine a `durable` file is then on the disk, before any commit that names it. Without it the caller calls
    `sync_files`.
    """
    system, path = opened(url)
    if is_local(url):
        target = Path(path)
        aside = target.with_name(f".{target.name}.part")
        try:
            if durable:
                make_folder(target.parent)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            if durable:
                put_in_place(aside, target)
            else:
                aside.replace(target)
        except BaseException:
            # A folder that cannot be written refuses this as well, and the first error has the reason.
            with suppress(OSError):
                aside.unlink(missing_ok=True)
            raise
        return
    with tempfile.TemporaryDirectory() as folder:
        aside = Path(folder) / "file"
        yield aside
        with aside.open("rb") as source, system.open_output_stream(path) as sink:
            while block := source.read(8 << 20):
                sink.write(block)


def copy(url: str, to: str) -> None:
    """Copy a file; readers of `to` see it complete or not at all. Raises FileNotFoundError."""
    system, path = opened(url)
    with system.open_input_stream(path) as source, written(to) as target, target.open("wb") as sink:
        while block := source.read(8 << 20):
            sink.write(block)


def remove(url: str) -> None:
    """Delete the file if it exists."""
    system, path = opened(url)
    try:
        system.delete_file(path)
    except FileNotFoundError:
        return


def delete_job_output(folder: str, name: str) -> None:
    """Delete the files directly in a folder whose names begin with `name`, also partial ones: a failed job's output."""
    from pyarrow.fs import FileSelector

    system, path = opened(folder)
    for file in system.get_file_info(FileSelector(path, allow_not_found=True)):
        if file.is_file and file.base_name.removeprefix(".").startswith(name):
            system.delete_file(file.path)


def size(url: str) -> int | None:
    """Return the file's bytes, or None if it does not exist."""
    from pyarrow.fs import FileType

    system, path = opened(url)
    info = system.get_file_info(path)
    return info.size if info.type == FileType.File else None


def check(url: str) -> None:
    """Write, read and delete a file in the bucket. Raises Unavailable in one sentence if one of that fails."""
    probe = f"{url}/.lake-{uuid4().hex}"
    try:
        write(probe, b"lake")
        if read(probe) != b"lake":
            raise OSError("a file read back differs from the file written")
        remove(probe)
    except (OSError, RuntimeError) as error:
        raise unusable(url, error) from error


def unusable(url: str, error: Exception) -> Unavailable:
    """Return the error for a bucket that refused an operation."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return Unavailable(
        f"the bucket {url} cannot be used ({reason}): check that it exists and has room, and that the credentials of "
        "this process may write, read and delete there."
    )


def let_read(session: "duckdb.DuckDBPyConnection", url: str, sizes: Mapping[str, int] | None = None) -> None:
    """Let a DuckDB session read and write files of a URL's bucket by their URLs.

    `sizes` are the bytes of files by URL: in a cloud no request is made for the properties of these. Those of others
    are cached: the lake's files never change, and DuckDB requests them some thirty times for each.
    """
    if is_local(url):
        return
    from fsspec.implementations.arrow import ArrowFSWrapper

    from lake_assets.ranged_reads import RangedFiles

    store = store_of(url)
    read_range = store.read_range
    known = {path_of(file): size for file, size in (sizes or {}).items()} if read_range else {}
    ranged = RangedFiles(known, read_range) if read_range else None
    cache: dict[str, dict[str, Any]] = {
        path: {"name": path, "size": size, "type": "file", "mtime": _NEVER_CHANGED} for path, size in known.items()
    }

    class Bucket(ArrowFSWrapper):
        @property
        def protocol(self) -> str:
            return scheme(url)

        def info(self, path: str, **options: Any) -> dict[str, Any]:
            path = path_of(path)
            if path not in cache:
                cache[path] = super().info(path, **options)
            return cache[path]

        def modified(self, path: str) -> datetime:
            return self.info(path)["mtime"]

        def _open(self, path: str, mode: str = "rb", *rest: Any, **options: Any) -> Any:
            if ranged is not None and mode == "rb" and path in known:
                return ranged.open(path)
            return super()._open(path, mode, *rest, **options)

    session.register_filesystem(Bucket(store.filesystem()))
