"""Size of everything in a lake that grows, and what bounds it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psycopg

from lake_assets.bucket import is_local, local_path
from lake_assets.compile.metric_tables import SCHEMA
from lake_assets.dbt.environment import DRAFTS
from lake_assets.errors import LakeError
from lake_assets.home import Home
from lake_assets.landing.expire import MOST_SNAPSHOTS
from lake_assets.ledger.applied import read_applied
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.lineage.files import FILE_BYTES, FILES, lineage_folder
from lake_assets.settings import Role, Settings

_MONTH = "a month of runs and their events"
_LOGS = "three files of 20 MB for each part"
_TOPICS = {
    "control-": "1 GB each",
    "connect-": "compacted",
    "metric-": "a month; changelogs: open windows",
    "__": "compacted",
}
_FOLDERS = {"raw": "the contracts' retention", "conformed": "the contracts' retention", "staging": "the last hour"}
_SCHEMAS = """\
select nspname, sum(pg_total_relation_size(pg_class.oid))::bigint
from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where relkind in ('r', 'm') and nspname !~ '^(pg_|information_schema)' group by nspname order by nspname"""
# Entries of a folder tree disappear while it is read: servers delete segments, files and logs.
_MISSING = (FileNotFoundError, NotADirectoryError)


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of one thing, and its bound in words."""

    what: str
    bytes: int
    bound: str


def read_sizes(settings: Settings) -> list[Size]:
    """Return all sizes that this machine can see; parts that do not answer are left out."""
    return [
        *_topics(Home(settings.home).kafka),
        *_bucket(settings),
        *_metadata(settings),
        *_postgres(settings),
        Size("logs", _folder(Home(settings.home).logs), _LOGS),
        Size("logs of Dagster's runs", _folder(Home(settings.home).dagster), _MONTH),
        Size("lineage events", _folder(lineage_folder(settings)), f"{FILES} files of {FILE_BYTES // 10**6} MB"),
        Size("spilled rows", _folder(settings.home / "tmp"), "the processes that run"),
    ]


def _topics(kafka: Path) -> list[Size]:
    """Sum the broker's folders by kind of topic."""
    kinds: Counter[str] = Counter()
    for partition in kafka.glob("*-[0-9]*"):
        kind = next((prefix for prefix in _TOPICS if partition.name.startswith(prefix)), "")
        kinds[kind] += _folder(partition)
    return [
        Size(f"topics {kind}…" if kind else "topics of assets", total, _TOPICS.get(kind, "none, raw has all events"))
        for kind, total in sorted(kinds.items())
    ]


def _bucket(settings: Settings) -> list[Size]:
    if not is_local(settings.bucket):
        return []
    root = Path(local_path(settings.bucket))
    return [Size(f"bucket, {name}", _folder(root / name), bound) for name, bound in _FOLDERS.items()]


def _metadata(settings: Settings) -> list[Size]:
    """Measure the largest current metadata of a raw table, which each commit writes and each run reads."""
    if not is_local(settings.bucket):
        return []
    from lake_assets.compile.raw_table import raw_table
    from lake_assets.landing.raw_catalog import pointers

    try:
        with Ledger(settings) as ledger:
            assets = read_applied(ledger).assets.values() if ledger.exists() else ()
        locations = pointers(settings, {raw_table(asset).identifier for asset in assets}) if assets else {}
    except LakeError:
        return []
    largest = max((_file(Path(local_path(location))) for location in locations.values()), default=0)
    return [Size("largest metadata of a raw table", largest, f"{MOST_SNAPSHOTS} snapshots, 1.1 kB each")]


def _postgres(settings: Settings) -> list[Size]:
    databases: tuple[tuple[Role, str], ...] = (("lake", settings.postgres.dbname), ("dagster", "dagster"))
    sizes: list[Size] = []
    for role, database in databases:
        try:
            with psycopg.connect(settings.postgres.conninfo(role, database), connect_timeout=3) as connection:
                rows = connection.execute(_SCHEMAS).fetchall()
        except psycopg.Error:
            continue
        sizes += [
            Size(f"database {database}, schema {name}", int(size), _schema_bound(role, name)) for name, size in rows
        ]
    return sizes


def _schema_bound(role: Role, schema: str) -> str:
    if role == "dagster":
        return _MONTH
    if schema.startswith(DRAFTS):
        return "none: the drafts of an analyst"
    return "the metrics' retention" if schema == SCHEMA else "the data"


def _folder(folder: Path) -> int:
    return sum(_file(path) for path in folder.rglob("*")) if folder.exists() else 0


def _file(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() and not path.is_symlink() else 0
    except _MISSING:
        return 0
