"""DuckDB sessions on the lake: `lake` is the DuckLake with the staging tables, `serving` the Postgres with the marts.

The extensions come from PyPI packages and are found through links under `LAKE_HOME`. So no file is downloaded at run
time or written to the user's home. dbt finds them the same way (`dbt/environment.py`).
"""

import importlib.util
import os
import platform
import weakref
from pathlib import Path

import duckdb

from lake_assets.bucket import is_local, let_read, local_path, path_of
from lake_assets.compile.sql import literal
from lake_assets.duckdb_session import SESSION_SETTINGS
from lake_assets.errors import LakeError, Unavailable
from lake_assets.object_stores import scheme, store_of
from lake_assets.settings import Role, Settings
from lake_assets.spill import SpillFolder, spill_root

_EXTENSIONS = ("ducklake", "httpfs", "postgres_scanner")
_METADATA_SCHEMA = "ducklake"


def connect(
    settings: Settings, *, read_only: bool = False, lake: bool = True, serving: bool = True, role: Role = "lake"
) -> duckdb.DuckDBPyConnection:
    """Return an in-memory DuckDB with the lake's databases attached as this role; times are in UTC.

    `lake=False` leaves the staging tables out, `serving=False` the marts' Postgres. The caller closes the connection;
    one connection serves one thread. Raises Unavailable when Postgres does not answer.
    """
    spill = SpillFolder(spill_root(settings.home))
    try:
        connection = duckdb.connect(config=session_config(settings, spill.path))
    except BaseException:
        spill.remove()
        raise
    weakref.finalize(connection, spill.remove)
    open_bucket(connection, settings.bucket)
    try:
        # As statements: a connect config would set the time zone before the extension that defines it is loaded.
        connection.execute(SESSION_SETTINGS)
        if lake:
            attach(connection, settings, read_only=read_only, role=role)
        if serving:
            mode = ", read_only" if read_only else ""
            address = literal(_conninfo(settings, role))
            _attach(connection, settings, f"attach {address} as serving (type postgres{mode})")
    except LakeError:
        connection.close()
        raise
    return connection


def attach(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    *,
    read_only: bool = False,
    role: Role = "lake",
    name: str = "lake",
) -> None:
    """Attach the DuckLake with the staging tables under this name. Raises Unavailable."""
    # Otherwise DuckLake stores a few deleted rows in Postgres and keeps opening their file, once for each rebuild of
    # a small window.
    mode = ", data_inlining_row_limit 0" + (", read_only" if read_only else "")
    _attach(
        connection,
        settings,
        f"attach {literal('ducklake:postgres:' + _conninfo(settings, role))} as {name} "
        f"(data_path {literal(settings.staging_data)}, metadata_schema {literal(_METADATA_SCHEMA)}{mode})",
    )
    connection.execute("set ducklake_max_retry_count = 100")


def _conninfo(settings: Settings, role: Role) -> str:
    if settings.postgres.port == 0:
        raise Unavailable("this lake has no Postgres yet: start it with `lake up`.")
    return settings.postgres.conninfo(role)


def _attach(connection: duckdb.DuckDBPyConnection, settings: Settings, statement: str) -> None:
    try:
        connection.execute(statement)
    except duckdb.IOException as error:
        if "connection to server at" not in str(error):
            raise
        raise settings.postgres.not_reached(error) from error


def open_bucket(connection: duckdb.DuckDBPyConnection, bucket: str) -> None:
    """Let a session attach a DuckLake whose files are in this bucket, and read them."""
    # Before httpfs: DuckDB tries file systems in the order of registration, and ours supports every kind of bucket.
    let_read(connection, bucket)
    if store_of(bucket).checked:
        connection.execute("load httpfs")


def lock_session(connection: duckdb.DuckDBPyConnection, bucket: str) -> None:
    """Take everything from a session that its attached databases do not need, for statements of a person.

    It reads files of the bucket only, and loads, attaches and sets nothing from here on.
    """
    close_to_files(connection, bucket)
    connection.execute("set lock_configuration = true")


def close_to_files(connection: duckdb.DuckDBPyConnection, bucket: str) -> None:
    """Let the sessions of a database use files of the bucket only, and attach and load nothing. It cannot be undone."""
    if connection.execute("select current_setting('enable_external_access')").fetchall() == [(False,)]:
        return
    # DuckDB finds the files of a pattern under the file system's own names, which for HDFS lack the name node.
    found = local_path(bucket) if is_local(bucket) else f"{scheme(bucket)}://{path_of(bucket)}"
    connection.execute(f"set allowed_directories = [{', '.join(map(literal, sorted({bucket, found})))}]")
    connection.execute("set enable_external_access = false")


def session_config(settings: Settings, spill: Path) -> dict[str, str | bool | int | float | list[str]]:
    """Return DuckDB's start-up settings: the folders of its extensions and of spilled data."""
    return {
        "extension_directory": str(link_extensions(settings)),
        "autoinstall_known_extensions": False,
        # The lock file's checksums cover the extensions. Checking their signatures as well costs 0.45 s a session.
        "allow_unsigned_extensions": True,
        "temp_directory": str(spill),
    }


def link_extensions(settings: Settings) -> Path:
    """Return the folder for DuckDB's `extension_directory`: links to the extensions in installed Python packages."""
    root = settings.home / "duckdb" / "extensions"
    folder = root / f"v{duckdb.__version__}" / _duckdb_platform()
    folder.mkdir(parents=True, exist_ok=True)
    for name in _EXTENSIONS:
        source, link = _extension_file(name), folder / f"{name}.duckdb_extension"
        if link.is_symlink() and link.readlink() == source:
            continue
        # Concurrent processes each make their own link and move it into place.
        temporary = link.with_suffix(f".{os.getpid()}")
        temporary.symlink_to(source)
        temporary.replace(link)
    return root


def _extension_file(name: str) -> Path:
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package duckdb-extension-{name.replace('_', '-')} is not installed")
    package = Path(spec.submodule_search_locations[0])
    return package / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"


def _duckdb_platform() -> str:
    """Return DuckDB's own name of this platform (`pragma platform`), without opening a database for it."""
    system = {"Darwin": "osx"}.get(platform.system(), platform.system().lower())
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine().lower())
    return f"{system}_{machine}"
