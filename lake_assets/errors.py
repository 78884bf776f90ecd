"""Errors that a person reads: one sentence that says what is wrong and what to do. The CLI prints them as they are."""

import re

# Postgres' own words for it: which of them depends on who asks, and whose limit it is.
_FULL = re.compile(r"too many|connection slots")


class LakeError(Exception):
    """Something a user can mend. `exit_code` is the process's: 1 a finding, 2 bad input, 3 a part is not running."""

    exit_code = 2


class Unavailable(LakeError):
    """A part of the stack does not answer; the message names it and the command that starts it."""

    exit_code = 3


class SettingsError(LakeError):
    """A setting is missing or not one of the values it may have; the message says what to set."""


def postgres_unavailable(host: str, port: int, said: object) -> Unavailable:
    """Why Postgres could not be asked, by what its client `said`, and what helps: no start helps one that is full."""
    reason = (str(said).strip() or "no reason given").splitlines()[0].rpartition("failed: ")[2].strip()
    if _FULL.search(reason):
        return Unavailable(
            f"Postgres at {host}:{port} has no connection left ({reason}): end sessions that nobody needs or raise its "
            "max_connections, and try again."
        )
    return Unavailable(f"Postgres at {host}:{port} does not answer ({reason}): start it with `lake up`.")
