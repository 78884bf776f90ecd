"""Queries of the dashboard: read-only sessions of role `analyst`, few of them, each query once for all readers."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from dataclasses import dataclass
from typing import Any

import psycopg

from lake_assets.errors import LakeError
from lake_assets.settings import Settings

# Of the analyst's 20 connections.
SESSIONS = 4
QUERY_SECONDS = 3
# A server that accepts connections and never answers, such as a stopped one, ends no query.
WAIT_SECONDS = 5.0
_OPTIONS = (
    f"-c default_transaction_read_only=on -c statement_timeout={QUERY_SECONDS}s -c timezone=UTC "
    "-c application_name=lake_dashboard"
)
_KEPT = 500


class NotRead(LakeError):
    """The rows of a chart cannot be read; the message is a sentence for readers."""


class NotThere(NotRead):
    """The table does not exist yet."""


@dataclass(frozen=True, slots=True)
class _Read:
    started: float
    future: Future[Sequence[tuple[Any, ...]]]


class Reader:
    """Rows of queries, which are at most `fresh` seconds old.

    A session takes one statement at a time and leaves no transaction open. One that breaks is opened again.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._pool = ThreadPoolExecutor(SESSIONS, thread_name_prefix="query")
        self._own = threading.local()
        self._lock = threading.Lock()
        self._reads: dict[str, _Read] = {}
        self._sessions: list[psycopg.Connection] = []

    def close(self) -> None:
        """End the sessions, after the queries that are running."""
        self._pool.shutdown()
        for session in self._sessions:
            session.close()

    def rows(self, query: str, fresh: float) -> Sequence[tuple[Any, ...]]:
        """Return the rows of the query. Raises NotRead."""
        with self._lock:
            read = self._reads.get(query)
            # A query that is still running is waited for: another one would not be faster.
            if read is None or (read.future.done() and self._clock() - read.started > fresh):
                read = _Read(self._clock(), self._pool.submit(self._read, query))
                self._reads[query] = read
                if len(self._reads) > _KEPT:
                    del self._reads[next(iter(self._reads))]
        try:
            return read.future.result(WAIT_SECONDS)
        except TimeoutError:
            raise NotRead("The database does not answer. This page tries again by itself.") from None

    def _read(self, query: str) -> Sequence[tuple[Any, ...]]:
        try:
            session = self._session()
            try:
                return session.execute(query.encode()).fetchall()
            except psycopg.OperationalError:
                if not session.closed:
                    raise
                # The server ended or lost the session: for example, it was started again.
                return self._session().execute(query.encode()).fetchall()
        except psycopg.errors.QueryCanceled as error:
            raise NotRead(f"The query took longer than {QUERY_SECONDS} s, or the lake ended it.") from error
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise NotThere("There is no such table yet.") from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise NotRead("Analysts may not read this table: run `lake apply`.") from error
        except psycopg.OperationalError as error:
            raise NotRead(f"{_first_upper(self._settings.postgres.not_reached(error))}") from error
        except psycopg.Error as error:
            raise NotRead(f"The query failed: {error.diag.message_primary or error}") from error

    def _session(self) -> psycopg.Connection:
        """Return this thread's session, open."""
        session: psycopg.Connection | None = getattr(self._own, "session", None)
        if session is None or session.closed:
            conninfo = self._settings.postgres.conninfo("analyst")
            # Without a transaction: the lake ends readers that leave one open.
            session = psycopg.connect(conninfo, options=_OPTIONS, connect_timeout=QUERY_SECONDS, autocommit=True)
            self._own.session = session
            self._sessions = [*(other for other in self._sessions if not other.closed), session]
        return session


def _first_upper(error: Exception) -> str:
    text = str(error)
    return f"{text[0].upper()}{text[1:]}"
