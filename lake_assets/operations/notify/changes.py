"""Difference between the problems that an owner knows of and those that exist, as messages. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Lines of a message; more would not be read.
_LINES = 20

# Sentences that an owner has received, by owner and by key of the problem.
Known = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with its owners. `key` stays the same while the problem lasts, whatever its sentence."""

    key: str
    owners: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class Message:
    """Changes for one owner: sentences of new problems, and of those that are over."""

    owner: str
    new: tuple[str, ...]
    resolved: tuple[str, ...]

    @property
    def subject(self) -> str:
        """Return the number of changes: no part of it comes from data."""
        parts = [f"{len(self.new)} new" if self.new else "", f"{len(self.resolved)} resolved" if self.resolved else ""]
        count = len(self.new) + len(self.resolved)
        return f"Lake: {', '.join(filter(None, parts))} problem{'' if count == 1 else 's'}"

    @property
    def lines(self) -> list[str]:
        """Return a line for each change, new problems first; of many only the first."""
        lines = [*self.new, *(f"Resolved: {sentence}" for sentence in self.resolved)]
        left_out = len(lines) - _LINES
        return [*lines[:_LINES], f"{left_out} more: see `lake status`."] if left_out > 0 else lines


def known_by_owner(problems: Iterable[Problem]) -> dict[str, dict[str, str]]:
    """Return the problems as their owners know them after all messages."""
    known: dict[str, dict[str, str]] = {}
    for problem in problems:
        for owner in problem.owners:
            known.setdefault(owner, {})[problem.key] = problem.sentence
    return known


def find_changes(before: Known, after: Known) -> list[Message]:
    """Return a message for each owner with a change, by owner. A problem with another sentence is no change."""
    messages: list[Message] = []
    for owner in sorted({*before, *after}):
        old, new = before.get(owner, {}), after.get(owner, {})
        message = Message(
            owner,
            tuple(sentence for key, sentence in new.items() if key not in old),
            tuple(sentence for key, sentence in old.items() if key not in new),
        )
        if message.new or message.resolved:
            messages.append(message)
    return messages
