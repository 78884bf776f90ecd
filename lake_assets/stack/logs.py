"""Reads what a part's log says about its last trouble."""

import re
from datetime import UTC, datetime
from pathlib import Path

from lake_assets.stack.layout import Layout

COLOUR = re.compile(r"\x1b\[[\d;]*m")
TAIL_BYTES = 64 * 1024
# The levels of log4j, Postgres, Dagster and supervisor, but not dbt's count of errors. A Java exception stands below
# its line, which has the level. What this project's own commands cannot go on with is one sentence behind their name.
TROUBLE = re.compile(r"\b(ERROR|FATAL|PANIC|CRITICAL)\b(?!=)|^Exception in thread|^(lake|stream_app): ")
# The last line of a Python stack trace, which has no level: its frames above it are indented.
RAISED = re.compile(r"^[\w.]+(Error|Exception|Exit|Interrupt)\b")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
LONGEST = 300


def last_start(layout: Layout) -> datetime:
    """When this lake was last brought up; long ago when it never was."""
    return datetime.fromtimestamp(layout.started.stat().st_mtime if layout.started.exists() else 0, UTC)


def last_error(log: Path, since: datetime) -> str | None:
    """The last line in the log's last 64 KB that reports an error, shortened; None when there is none since `since`.

    The logs' times are UTC. A line without one, such as the end of a stack trace, is as old as the last line above it
    that has one.
    """
    lines = _tail(log)
    oldest = since.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    found: str | None = None
    for above, line in zip(reversed(["", *lines][:-1]), reversed(lines), strict=True):
        time = TIME.search(line)
        if time and time[0] < oldest:
            return None
        if found is None and (TROUBLE.search(line) or (RAISED.match(line) and above.startswith("  "))):
            found = COLOUR.sub("", line).strip()[:LONGEST]
        if found and time:
            return found
    return found


def last_line(log: Path) -> str | None:
    """What a part said last, for one that ended without calling it an error."""
    return next((line.strip()[:LONGEST] for line in reversed(_tail(log)) if line.strip()), None)


def _tail(log: Path) -> list[str]:
    if not log.exists():
        return []
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        return file.read().decode("utf-8", "replace").splitlines()
