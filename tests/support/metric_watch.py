"""A reader that polls a metric's table."""

import threading

import psycopg

from tests.support.counted_metrics import Counted


class Watch:
    """`backwards` holds what it saw go back: a lower revision, or a change of a row that was final. It connects again
    when the database was away."""

    def __init__(self, counted: Counted) -> None:
        names = ", ".join(group.name for group in counted.metric.groups)
        table = f"metrics.{counted.metric.table}_shards"
        self._query = f"select {names}, window_start, shard, revision, is_final from {table}".encode()
        self._conninfo = counted.settings.postgres.conninfo("lake")
        self._done = threading.Event()
        self._seen: dict[object, tuple[int, bool]] = {}
        self.backwards: list[object] = []
        self.looks = 0
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as session:
                    while not self._done.wait(0.05):
                        self._look(session)
            except psycopg.OperationalError:
                self._done.wait(0.2)

    def _look(self, session: psycopg.Connection[tuple[object, ...]]) -> None:
        for *key, revision, final in session.execute(self._query).fetchall():
            cell, now = tuple(key), (int(str(revision)), bool(final))
            before = self._seen.get(cell, (0, False))
            if now < before or (before[1] and now != before):
                self.backwards.append((cell, before, now))
            self._seen[cell] = now
        self.looks += 1
