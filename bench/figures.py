"""Rounds in turns, and figures in one form: median, best and worst of the rounds, and the ratio to each rival."""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

# Below this difference two medians are called level: rounds of one way on one machine differ by as much.
LEVEL = 0.05

Way = TypeVar("Way", str, int)
Measured = TypeVar("Measured")


@dataclass(frozen=True)
class Figure:
    """One measurement, with one value per round. `ours` is the speed of the lake relative to this rival in each round;
    None if it is not a rival."""

    what: str
    values: list[float]
    unit: str = "s"
    ours: list[float] | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def best(self) -> float:
        return max(self.values) if self._is_rate else min(self.values)

    @property
    def worst(self) -> float:
        return min(self.values) if self._is_rate else max(self.values)

    @property
    def ratio(self) -> float | None:
        return None if self.ours is None else statistics.median(self.ours)

    @property
    def verdict(self) -> str:
        """Comparison with this rival, in words."""
        if self.ratio is None:
            return ""
        result = "level" if abs(self.ratio - 1) <= LEVEL else "faster" if self.ratio > 1 else "slower"
        return f"{self.ratio:.2f} times as fast, {result}"

    @property
    def _is_rate(self) -> bool:
        return self.unit.endswith("/s")

    def shown(self, value: float) -> str:
        return f"{value:,.0f}" if abs(value) >= 1000 or self.unit in ("ms", "MB", "") else f"{value:.2f}"


@dataclass
class Figures:
    """The figures of one bench under one condition, such as a number of rows."""

    bench: str
    condition: str
    rows: list[Figure] = field(default_factory=list)
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def add(self, what: str, values: Sequence[float], unit: str = "s") -> Figure:
        self.rows.append(Figure(what, list(values), unit))
        return self.rows[-1]

    def add_rival(self, what: str, values: Sequence[float], ours: Figure) -> Figure:
        """Add a rival of `ours`, of the same unit and measured in the same rounds."""
        pairs = zip(values, ours.values, strict=True)
        ratios = [own / rival if ours.unit.endswith("/s") else rival / own for rival, own in pairs]
        self.rows.append(Figure(what, list(values), ours.unit, ratios))
        return self.rows[-1]

    def show(self, path: Path | None = None) -> None:
        """Print the figures, and append them to `path` as a line of JSON."""
        width = max(len(row.what) for row in self.rows)
        rounds = max(len(row.values) for row in self.rows)
        print(f"\n{self.bench}: {self.condition}; rounds: {rounds}, load before: {self.load:.1f}")
        print(f"{'':<{width}} {'median':>11} {'best':>11} {'worst':>11}         ours")
        for row in self.rows:
            numbers = " ".join(f"{row.shown(value):>11}" for value in (row.median, row.best, row.worst))
            print(f"{row.what:<{width}} {numbers} {row.unit:<7} {row.verdict}".rstrip(), flush=True)
        if path:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(self)) + "\n")


def read_figures(path: Path) -> Iterator[Figures]:
    """Read the figures that `show` appended to a file."""
    for line in path.read_text("utf-8").splitlines():
        fields = json.loads(line)
        yield Figures(**{**fields, "rows": [Figure(**row) for row in fields["rows"]]})


def in_turns(ways: Mapping[Way, Callable[[], Measured]], rounds: int) -> dict[Way, list[Measured]]:
    """Run the ways in turns; return their results by round. Each round begins with another way, to share the load."""
    results: dict[Way, list[Measured]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            results[name].append(ways[name]())
    return results


def options(doc: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options of every bench; a bench adds its size."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"rounds, taken in turns (default {rounds})")
    parser.add_argument("--figures", type=Path, metavar="FILE", help="append the figures to a file, as JSON")
    return parser
