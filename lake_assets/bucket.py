"""The bucket by its URL: a folder, S3, Google Cloud Storage or HDFS, all through pyarrow's file systems.

Every file that counts is known by name: only `remove_leftovers` looks at what is there.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from lake_assets.errors import Unavailable
from lake_assets.object_stores import scheme, store_of

if TYPE_CHECKING:
    import duckdb
    from pyarrow.fs import FileSystem


def opened(url: str) -> "tuple[FileSystem, str]":
    """The file system of a URL or plain path, and the path in it. Raises UnknownStore."""
    return store_of(url).filesystem(), path_of(url)


def is_local(url: str) -> bool:
    """Whether it is a file of this machine: `file:` or a plain path."""
    return "://" not in url or url.startswith("file:")


def local_path(url: str) -> str:
    """`file:///x` as `/x`, and anything else as it is: so DuckDB takes it."""
    return "/" + url.removeprefix("file:").lstrip("/") if url.startswith("file:") else url


def path_of(url: str) -> str:
    """The path as the URL's file system has it."""
    if is_local(url):
        return local_path(url)
    rest = url.partition("://")[2]
    return "/" + rest.partition("/")[2] if scheme(url) == "hdfs" else rest


def read(url: str) -> bytes | None:
    """The whole file, or None when there is none."""
    system, path = opened(url)
    try:
        with system.open_input_stream(path) as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def write(url: str, content: bytes) -> None:
    """Makes or replaces the file; a reader sees all of it or none."""
    with written(url) as path:
        path.write_bytes(content)


@contextmanager
def written(url: str) -> Iterator[Path]:
    """A local path to write to; afterwards the file is at the URL, all of it or nothing."""
    system, path = opened(url)
    if is_local(url):
        target = Path(path)
        aside = target.with_name(f".{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            aside.replace(target)
        except BaseException:
            # A folder that refuses to be written refuses this as well, and the first error says why.
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
    """Copies a file; whoever looks at `to` sees all of it or nothing. Raises FileNotFoundError."""
    system, path = opened(url)
    with system.open_input_stream(path) as source, written(to) as target, target.open("wb") as sink:
        while block := source.read(8 << 20):
            sink.write(block)


def remove(url: str) -> None:
    """Removes the file if it is there."""
    system, path = opened(url)
    try:
        system.delete_file(path)
    except FileNotFoundError:
        return


def remove_leftovers(folder: str, name: str) -> None:
    """Removes the files right in a folder that `name` begins, finished or not: what a failed job left."""
    from pyarrow.fs import FileSelector

    system, path = opened(folder)
    for found in system.get_file_info(FileSelector(path, allow_not_found=True)):
        if found.is_file and found.base_name.removeprefix(".").startswith(name):
            system.delete_file(found.path)


def size(url: str) -> int | None:
    """The file's bytes, or None when there is none."""
    from pyarrow.fs import FileType

    system, path = opened(url)
    found = system.get_file_info(path)
    return found.size if found.type == FileType.File else None


def check(url: str) -> None:
    """Writes, reads and removes a file there. Raises Unavailable in one sentence when one of that cannot be done."""
    probe = f"{url}/.lake-{uuid4().hex}"
    try:
        write(probe, b"lake")
        if read(probe) != b"lake":
            raise OSError("what was written is not what is read")
        remove(probe)
    except (OSError, RuntimeError) as error:
        raise unusable(url, error) from error


def unusable(url: str, error: Exception) -> Unavailable:
    """What to say of a bucket that refuses what was asked of it."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return Unavailable(
        f"the bucket {url} cannot be used ({reason}): see that it exists and has room, and that the credentials of "
        "this process may write, read and delete there."
    )


def let_read(session: "duckdb.DuckDBPyConnection", url: str) -> None:
    """Lets a DuckDB session read and write files of a URL's bucket by their URLs.

    A file is asked after once: the lake's files never change, and DuckDB asks some thirty times for each.
    """
    if is_local(url):
        return
    from fsspec.implementations.arrow import ArrowFSWrapper

    known: dict[str, dict[str, Any]] = {}

    class Bucket(ArrowFSWrapper):
        @property
        def protocol(self) -> str:
            return scheme(url)

        def info(self, path: str, **options: Any) -> dict[str, Any]:
            if path not in known:
                known[path] = super().info(path, **options)
            return known[path]

    session.register_filesystem(Bucket(store_of(url).filesystem()))
