"""Read the last error from a part's log."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lake_assets.home import Home

COLOUR = re.compile(r"\x1b\[[\d;]*m")
TAIL_BYTES = 64 * 1024
# The levels of log4j, Postgres, Dagster and supervisor, but not dbt's count of errors. A Java exception stands below
# its line, which has the level. A fatal error of this project's commands is one sentence after the command's name.
TROUBLE = re.compile(r"\b(ERROR|FATAL|PANIC|CRITICAL)\b(?!=)|^Exception in thread|^(lake|stream_app): ")
# The last line of a Python stack trace, which has no level: its frames above it are indented.
RAISED = re.compile(r"^[\w.]+(Error|Exception|Exit|Interrupt)\b")
# Postgres's lines have user and SQLSTATE (`log_line_prefix`). A rejected statement of a user is reported by that
# client. The server's own errors have these classes: resources, intervention, system, configuration, internal.
OF_USER = re.compile(r" \S+@\S* ([0-9A-Z]{5}) (ERROR|FATAL|PANIC): ")
OF_POSTGRES = ("53", "57", "58", "F0", "XX")
# Expected events: a statement cancelled, a session ended, Postgres stopping or starting.
AS_ASKED = ("57014", "57P01", "57P03", "57P05")
# Dagster's error while the code server is away: resolved once that has started again, as at each `lake apply`.
UNREACHABLE = re.compile(r"DagsterUserCode(Unreachable|Server)Error")
# So long it may take to load the definitions, on a busy machine, before it answers.
CODE_LOADS = timedelta(minutes=1)
# An error of a healthy part counts as resolved if it was not reported again for this long.
RESOLVED_AFTER = timedelta(minutes=5)
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
LONGEST = 300


def last_start(layout: Home) -> datetime:
    """Return the time of the last `lake up`; the epoch if there was none."""
    return datetime.fromtimestamp(layout.started.stat().st_mtime if layout.started.exists() else 0, UTC)


def last_error_now(
    log: Path, brought_up: datetime, started: datetime | None, now: datetime, code_started: datetime | None = None
) -> str | None:
    """Return the last error of a part that still matters.

    `started` is the start of the process of a part that answers: errors of earlier processes, errors not reported
    again for minutes, and those of a code server that has started since, at `code_started`, count as resolved. For a
    part that does not answer it is None.
    """
    if started is None:
        return last_error(log, brought_up)
    return last_error(log, max(brought_up, started, now - RESOLVED_AFTER), code_started)


def last_error(log: Path, since: datetime, code_started: datetime | None = None) -> str | None:
    """Return the last line in the log's last 64 KB that reports an error, shortened; None without one since `since`.

    The logs' times are UTC. A line without a time, such as the end of a stack trace, has the time of the last line
    above it that has one. Without such a line it has the log's. Errors of a code server that could not be reached are
    left out if they are older than `code_started` and a minute.
    """
    if log.exists() and log.stat().st_mtime < since.timestamp():
        return None
    lines = _tail(log)
    oldest, reached = _as_logged(since), _as_logged(code_started + CODE_LOADS) if code_started else ""
    error: str | None = None
    for above, line in zip(reversed(["", *lines][:-1]), reversed(lines), strict=True):
        time = TIME.search(line)
        if time and time[0] < oldest:
            return None
        if error is None and (_is_trouble(line) or (RAISED.match(line) and above.startswith("  "))):
            error = COLOUR.sub("", line).strip()[:LONGEST]
        if error and time and UNREACHABLE.search(error) and time[0] < reached:
            error = None
        if error and time:
            return error
    return error


def _as_logged(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _is_trouble(line: str) -> bool:
    if state := OF_USER.search(line):
        return state[1].startswith(OF_POSTGRES) and state[1] not in AS_ASKED
    return bool(TROUBLE.search(line))


def last_line(log: Path) -> str | None:
    """Return the last line of a log, for a part that exited without logging an error."""
    return next((line.strip()[:LONGEST] for line in reversed(_tail(log)) if line.strip()), None)


def _tail(log: Path) -> list[str]:
    if not log.exists():
        return []
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        return file.read().decode("utf-8", "replace").splitlines()
