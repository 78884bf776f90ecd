"""Current metadata of many raw tables, as plain JSON: building Iceberg's model of one takes ten times as long."""

import gzip
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lake_assets.bucket import is_local, local_path, path_of
from lake_assets.landing.raw_catalog import Identifier, pointers
from lake_assets.object_stores import store_of
from lake_assets.settings import Settings

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_ATTEMPTS = 3
# Reading a file of a bucket in a cloud waits for the network.
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class TableMetadata:
    """A table at its current snapshot; `transforms` are the partition transforms of its newest spec."""

    properties: Mapping[str, str]
    columns: frozenset[str]
    transforms: tuple[str, ...]
    has_snapshot: bool
    total_rows: int
    snapshots: int


@dataclass(frozen=True, slots=True)
class Damage:
    """A table whose metadata file is missing or cannot be read; `cause` is a phrase for users."""

    cause: str


_MISSING = Damage("the file is missing")


def read_metadata(settings: Settings, tables: Collection[Identifier]) -> dict[Identifier, TableMetadata | Damage]:
    """Return the metadata of each of these tables that exists, with one query for all. Raises Unavailable."""
    metadata: dict[Identifier, TableMetadata | Damage] = {}
    unread, read = set(tables), metadata_reader()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for _ in range(_ATTEMPTS):
            locations = pointers(settings, unread) if unread else {}
            metadata |= dict(zip(locations, pool.map(read, locations.values()), strict=True))
            # A hundred commits later a file is missing, and the table has a newer one.
            unread = {table for table in locations if metadata[table] == _MISSING}
            if not unread:
                break
    return metadata


def metadata_reader() -> Callable[[str], TableMetadata | Damage]:
    """Return a function that reads a metadata file, with one file system for each bucket."""

    @lru_cache
    def system_of(scheme: str, host: str) -> "FileSystem":
        return store_of(f"{scheme}://{host}").filesystem()

    def read(location: str) -> TableMetadata | Damage:
        try:
            return _metadata(_load(content(location)))
        except FileNotFoundError:
            return _MISSING
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            return Damage(f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}")

    def content(location: str) -> bytes:
        if is_local(location):
            return Path(local_path(location)).read_bytes()
        parts = urlsplit(location)
        with system_of(parts.scheme, parts.netloc).open_input_stream(path_of(location)) as stream:
            return stream.read()

    return read


def _load(text: bytes) -> Mapping[str, Any]:
    return json.loads(gzip.decompress(text) if text.startswith(b"\x1f\x8b") else text)


def _metadata(table: Mapping[str, Any]) -> TableMetadata:
    schema = _by_id(table.get("schemas", ()), "schema-id", table.get("current-schema-id"))
    spec = _by_id(table.get("partition-specs", ()), "spec-id", table.get("default-spec-id"))
    snapshot = _by_id(table.get("snapshots", ()), "snapshot-id", table.get("current-snapshot-id"))
    summary: Mapping[str, str] = snapshot.get("summary", {}) if snapshot else {}
    return TableMetadata(
        table.get("properties", {}),
        frozenset(field["name"] for field in (schema or table["schema"])["fields"]),
        tuple(str(field["transform"]) for field in (spec["fields"] if spec else table["partition-spec"])),
        snapshot is not None,
        int(summary.get("total-records", "0")),
        len(table.get("snapshots", ())),
    )


def _by_id(entries: Iterable[Mapping[str, Any]], key: str, number: int | None) -> Mapping[str, Any] | None:
    """Return the entry of that id, None when there is none."""
    return next((entry for entry in entries if entry[key] == number), None)
