"""Kinds of bucket, by the scheme of their URL: one class for each.

Endpoints and regions are the clouds' own environment variables, and credentials come from each cloud's client library.
Neither is a setting of the lake.
"""

import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from lake_assets.aws import aws_endpoint, aws_region
from lake_assets.errors import LakeError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

    from lake_assets.ranged_reads import ReadRange

# Prefix of the raw catalog's properties in the sink's config.
_CATALOG = "iceberg.catalog."
_IO = f"{_CATALOG}io-impl"
_ICEBERG = "org.apache.iceberg"


class UnknownStore(LakeError):
    """A bucket's URL has an unknown scheme, or lacks its host."""


class Store(Protocol):
    """One kind of bucket.

    `read_range` reads ranges of files whose size is known; None where opening a file costs no request.
    `sink` has the properties of Kafka Connect's Iceberg sink, without secrets. `environment` are the variables that a
    process on another machine needs to open the bucket, also without secrets. `checked` is True if DuckLake requires
    DuckDB's extension httpfs for such URLs.
    """

    @property
    def sink(self) -> Mapping[str, str]: ...
    @property
    def environment(self) -> Mapping[str, str]: ...
    @property
    def checked(self) -> bool: ...
    @property
    def read_range(self) -> "ReadRange | None": ...
    def filesystem(self) -> "FileSystem":
        """Return the file system; its paths are `bucket/key`, and for HDFS the path on its host."""
        ...


class Folder:
    sink: Mapping[str, str] = {}
    environment: Mapping[str, str] = {}
    checked = False
    read_range: "ReadRange | None" = None

    def __init__(self, host: str) -> None:
        if host:
            raise UnknownStore(f"'file://{host}/…' names a host: a folder's URL begins with file:///.")

    def filesystem(self) -> "FileSystem":
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem()


class S3:
    """Amazon S3, or a compatible service at `AWS_ENDPOINT_URL_S3`. Raises SettingsError."""

    checked = True

    def __init__(self, _: str) -> None:
        self._endpoint = aws_endpoint("s3")
        self._region = aws_region()

    @property
    def sink(self) -> Mapping[str, str]:
        properties = {_IO: f"{_ICEBERG}.aws.s3.S3FileIO", f"{_CATALOG}client.region": self._region}
        if self._endpoint:
            properties |= {f"{_CATALOG}s3.endpoint": self._endpoint, f"{_CATALOG}s3.path-style-access": "true"}
        return properties

    @property
    def environment(self) -> Mapping[str, str]:
        return {"AWS_REGION": self._region, **({"AWS_ENDPOINT_URL_S3": self._endpoint} if self._endpoint else {})}

    @property
    def read_range(self) -> "ReadRange | None":
        # Not on a Spark cluster, which has neither this module nor the clouds' clients.
        from lake_assets.ranged_reads import s3_ranges

        return s3_ranges

    def filesystem(self) -> "FileSystem":
        return _s3_client(self._region, self._endpoint, _variables("AWS_"), os.getpid())


class Gcs:
    """Google Cloud Storage, or the emulator at `STORAGE_EMULATOR_HOST`."""

    checked = True

    def __init__(self, _: str) -> None:
        self._emulator = os.environ.get("STORAGE_EMULATOR_HOST")

    @property
    def sink(self) -> Mapping[str, str]:
        properties = {_IO: f"{_ICEBERG}.gcp.gcs.GCSFileIO"}
        if project := os.environ.get("GOOGLE_CLOUD_PROJECT"):
            properties[f"{_CATALOG}gcs.project-id"] = project
        if self._emulator:
            properties |= {f"{_CATALOG}gcs.service.host": self._emulator, f"{_CATALOG}gcs.no-auth": "true"}
        return properties

    @property
    def environment(self) -> Mapping[str, str]:
        names = ("GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST")
        return {name: os.environ[name] for name in names if os.environ.get(name)}

    @property
    def read_range(self) -> "ReadRange | None":
        from lake_assets.ranged_reads import gs_ranges

        return gs_ranges

    def filesystem(self) -> "FileSystem":
        return _gcs_client(self._emulator, _variables("GOOGLE_"), os.getpid())


class Hdfs:
    """HDFS by its name node's address or its name service; the rest is in Hadoop's own `HADOOP_CONF_DIR`."""

    environment: Mapping[str, str] = {}
    checked = False
    read_range: "ReadRange | None" = None

    def __init__(self, host: str) -> None:
        if not host:
            raise UnknownStore("a bucket on HDFS needs its name node: hdfs://HOST:PORT/FOLDER.")
        self._host, _, self._port = host.partition(":")

    @property
    def sink(self) -> Mapping[str, str]:
        properties = {_IO: f"{_ICEBERG}.hadoop.HadoopFileIO"}
        if folder := os.environ.get("HADOOP_CONF_DIR"):
            properties["iceberg.hadoop-conf-dir"] = folder
        return properties

    def filesystem(self) -> "FileSystem":
        # pyarrow's own client needs libhdfs, a JVM and Hadoop's jars on the class path of every Python process.
        from hdfs_native.fsspec import HdfsFileSystem
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        class Dated(HdfsFileSystem):
            """Add a file's modification time where pyarrow looks for it: DuckDB needs it."""

            def info(self, path: str, **options: Any) -> dict[str, Any]:
                details = super().info(path, **options)
                return {**details, "mtime": details["modification_time"] / 1000}

        return PyFileSystem(FSSpecHandler(Dated(self._host, int(self._port) if self._port else None)))  # pyright: ignore[reportAbstractUsage]


def _variables(prefix: str) -> tuple[tuple[str, str], ...]:
    """Return the variables that a cloud's client library reads, so that a change of them makes a new client."""
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith(prefix)))


# A new client connects again and fetches credentials again, which takes several requests.
@lru_cache(maxsize=8)
def _s3_client(
    region: str, endpoint: str | None, _environment: tuple[tuple[str, str], ...], _process: int
) -> "FileSystem":
    from pyarrow.fs import S3FileSystem

    # Without a delayed open each small file is a multipart upload: three billed calls instead of one.
    return S3FileSystem(
        region=region,
        endpoint_override=endpoint,
        allow_delayed_open=True,  # pyright: ignore[reportCallIssue]
    )


@lru_cache(maxsize=8)
def _gcs_client(emulator: str | None, _environment: tuple[tuple[str, str], ...], _process: int) -> "FileSystem":
    from pyarrow.fs import GcsFileSystem

    if not emulator:
        return GcsFileSystem()
    address = urlsplit(emulator)
    return GcsFileSystem(anonymous=True, scheme=address.scheme, endpoint_override=address.netloc)


_STORES: Mapping[str, Callable[[str], Store]] = {"": Folder, "file": Folder, "s3": S3, "gs": Gcs, "hdfs": Hdfs}


def scheme(url: str) -> str:
    """Return `s3` of `s3://…`; empty for a plain path."""
    return url.partition(":")[0] if ":" in url else ""


def store_of(url: str) -> Store:
    """Return the kind of bucket of a URL or a plain path. Raises UnknownStore."""
    if scheme(url) not in _STORES:
        schemes = ", ".join(f"{name}://" for name in _STORES if name)
        raise UnknownStore(f"'{url}' is not a supported bucket: its URL must begin with one of {schemes}.")
    return _STORES[scheme(url)](urlsplit(url).netloc)
