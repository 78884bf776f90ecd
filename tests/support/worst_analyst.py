"""The worst SQL that the role of analysts may run, in as many sessions as it may have, until the process is killed.

`python -m tests.support.worst_analyst CONNINFO` prints a line when no more sessions are let in.
"""

import itertools
import sys
import threading
from collections.abc import Callable

import psycopg

# Analysts may raise these limits.
UNLIMITED = (
    "set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = 0; "
    "set max_parallel_workers_per_gather = 8"
)
MART = "sales_data_mart.sales"


def compute(session: psycopg.Connection) -> None:
    session.execute("select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b where a < b")


def spill(session: psycopg.Connection) -> None:
    session.execute("set work_mem = '64kB'")
    session.execute(f"select count(*) from (select i, j.* from generate_series(1, 9000000) i, {MART} j order by -i) s")


def use_memory(session: psycopg.Connection) -> None:
    session.execute("set work_mem = '20GB'")
    session.execute("select count(*) from (select i, count(*) from generate_series(1, 90000000) i group by i) s")


def keep_a_transaction_open(session: psycopg.Connection) -> None:
    session.execute("begin")
    session.execute(f"select count(*) from {MART}")
    session.execute(f"lock table {MART} in access share mode")
    session.execute("select pg_sleep(3600)")


def try_locks(session: psycopg.Connection) -> None:
    for statement in (
        f"begin; lock table {MART} in access exclusive mode",
        "select pg_advisory_lock(hashtextextended('dataset:sales', 0))",
        "select pg_try_advisory_lock(hashtextextended('ledger', 0))",
        f"select count(*) from {MART} a, {MART} b, {MART} c, metrics.sales_by_region d, metrics.sales_by_region e",
    ):
        try:
            session.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            session.rollback()


WAYS: tuple[Callable[[psycopg.Connection], None], ...] = (
    compute, spill, use_memory, keep_a_transaction_open, try_locks,
)  # fmt: skip


def torment(conninfo: str, way: Callable[[psycopg.Connection], None], refused: threading.Event) -> None:
    """Do it again and again, with a new session whenever one is ended or refused."""
    while True:
        try:
            with psycopg.connect(conninfo, autocommit=True) as session:
                session.execute(UNLIMITED)
                while True:
                    try:
                        way(session)
                    except (psycopg.errors.OutOfMemory, psycopg.errors.ConfigurationLimitExceeded):
                        continue
        except psycopg.Error as error:
            if "too many connections" in str(error):
                refused.set()
                refused.wait(1)


def main(conninfo: str) -> None:
    refused = threading.Event()
    for way in itertools.islice(itertools.cycle(WAYS), 200):
        threading.Thread(target=torment, args=(conninfo, way, refused), daemon=True).start()
        if refused.wait(0.05):
            break
    print("all sessions are taken", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1])
