"""Processor time for the sessions of analysts in the embedded Postgres: what the lake itself leaves.

An analyst can start as many queries as there are connections, and Postgres has no setting for their share.
"""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import psutil

from lake_assets.home import Home
from lake_assets.ledger.ledger import Ledger

LOWEST = 19


def limit_readers(ledger: Ledger) -> None:
    """Give the lowest priority to sessions of analysts and engineers, with their parallel workers.

    A server that is not this lake's embedded one is left alone.
    """
    # The lake is a member of its readers' roles and of no others.
    readers = "select pid from pg_stat_activity where usename <> 'lake' and pg_has_role('lake', usename, 'usage')"
    pids = ledger.connection.execute(readers).fetchall()
    lower_priority(Home(ledger.home), [pid for (pid,) in pids])


def lower_priority(layout: Home, pids: Collection[int]) -> None:
    """Lower those of these processes that the embedded Postgres has started.

    Linux weighs sessions before processes where it groups them (autogroup), and Postgres starts each of its processes
    in a session of its own: there the priority of the process alone changes nothing.
    """
    try:
        server = int((layout.postgres / "postmaster.pid").read_text("utf-8").split()[0])
    except (OSError, ValueError, IndexError):
        return
    for pid in pids:
        with suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if process.ppid() == server and process.nice() < LOWEST:
                process.nice(LOWEST)
                if (group := Path(f"/proc/{pid}/autogroup")).exists():
                    group.write_text(str(LOWEST), "ascii")
