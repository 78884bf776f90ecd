"""Places of a lake where a text is found that must not be there."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg

from lake_assets.landing.broker import admin
from lake_assets.landing.topics import offsets
from lake_assets.settings import Settings
from tests.support.counted_metrics import read_topic


def readable(home: Path, path: Path) -> bool:
    """All but what Kafka keeps, Postgres's own files, which are asked by SQL, and raw, which is the truth."""
    own = path.relative_to(home)
    return path.is_file() and own.parts[0] not in ("kafka", "postgres") and own.parts[:2] != ("bucket", "raw")


def files_with(home: Path, text: str) -> list[str]:
    """Files of the home, but for those that hold events."""
    files = [path for path in home.rglob("*") if readable(home, path)]
    assert any(path.name.endswith(".log") for path in files)
    return [str(path.relative_to(home)) for path in files if text.encode() in path.read_bytes()]


def tables_with(settings: Settings, text: str) -> list[str]:
    """The tables of both databases with a row that holds the text anywhere."""
    found: list[str] = []
    for database in (settings.postgres.dbname, "dagster"):
        conninfo = settings.postgres.conninfo("lake_admin", database)
        with psycopg.connect(conninfo) as session:
            names = session.execute(
                "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables "
                "where schemaname not in ('pg_catalog', 'information_schema')"
            ).fetchall()
            for (name,) in names:
                query = f"select count(*) from {name} t where strpos(t::text, %s) > 0"
                if session.execute(query.encode(), [text]).fetchone() != (0,):
                    found.append(f"{database} {name}")
    return found


def topic_offsets(settings: Settings) -> dict[str, dict[int, tuple[int, int]]]:
    """The first and the next offset of each partition of all topics, those of Kafka itself included."""
    return offsets(settings, sorted(admin(settings).list_topics(timeout=30).topics))


def topics_with(settings: Settings, text: str, before: Mapping[str, object]) -> list[str]:
    """The topics with a record whose key, value or header holds the text, of those that have other offsets than
    `before`: the tests of other files leave hundreds."""
    changed = [topic for topic, found in topic_offsets(settings).items() if found != before.get(topic)]
    return [topic for topic in changed if any(text.encode() in part for part in _parts(settings, topic))]


def _parts(settings: Settings, topic: str) -> Iterator[bytes]:
    for message in read_topic(settings, topic):
        yield from filter(None, (message.key(), message.value()))
        for name, value in message.headers() or ():
            yield from (name.encode(), value if isinstance(value, bytes) else str(value).encode())
