"""Errors for users: one sentence with the problem and what to do. The CLI prints them unchanged."""


class LakeError(Exception):
    """An error a user can fix. `exit_code` is the process's: 1 a finding, 2 bad input, 3 a part is not running."""

    exit_code = 2


class Incurable(LakeError):
    """A failure that a retry cannot fix: the contract or the data must change first."""


class Unavailable(LakeError):
    """A part of the stack does not answer; the message names it and the command that starts it."""

    exit_code = 3


class Unreadable(Unavailable):
    """Files of one asset cannot be used, although all parts of the stack answer; others are not concerned."""


class SettingsError(LakeError):
    """A setting is missing or has an invalid value; the message has what to set."""
