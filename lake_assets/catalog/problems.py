"""Problems of a contract: all at once, each with its path and the expected value."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePath

from lake_assets.errors import LakeError

TreePath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One problem. `line` counts from 1; `path` has the form `schema[0].properties[3].logicalType`."""

    file: PurePath
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ContractError(LakeError):
    """Raised for invalid contracts. `problems` has all problems, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems)))
        if len(self.problems) == 1:
            super().__init__(str(self.problems[0]))
            return
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"{len(self.problems)} problems in the contracts; fix each and try again:{lines}")


def path_text(path: TreePath) -> str:
    """Format a path in a contract: `schema[0].properties[3].logicalType`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def one_of(words: Sequence[str]) -> str:
    """Join words for a sentence: 'a', 'b' or 'c'."""
    quoted = [f"'{word}'" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def closest(word: str, words: Iterable[str]) -> str | None:
    """Return the word that a misspelt one most likely means."""
    by_folded = {known.lower(): known for known in words}
    close = get_close_matches(word.lower(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return ' Did you mean 'x'?' when a word is close enough to one of the others, else an empty text."""
    known = closest(word, words)
    return f" Did you mean '{known}'?" if known else ""
