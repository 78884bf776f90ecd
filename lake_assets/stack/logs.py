"""Reads what a part's log says about its last trouble."""

import re
from pathlib import Path

TAIL_BYTES = 64 * 1024
# The levels of log4j, Postgres, Dagster and supervisor, and the last line of a Python or Java stack trace.
TROUBLE = re.compile(r"\b(ERROR|FATAL|PANIC|CRITICAL)\b|^(Exception in thread|[\w.]+(Error|Exception)\b[:(])")
LONGEST = 300


def last_error(log: Path) -> str | None:
    """The last line in the log's last 64 KB that reports an error, shortened; None when there is none."""
    if not log.exists():
        return None
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    for line in reversed(lines):
        if TROUBLE.search(line):
            return line.strip()[:LONGEST]
    return None
