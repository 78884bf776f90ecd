"""What `tests.faults.recovery` measured last."""

import json
from dataclasses import dataclass
from pathlib import Path

FIGURES = Path(__file__).with_name("recovery.json")


@dataclass(frozen=True, slots=True)
class Recovery:
    """The longest of some rounds, in seconds: until the killed server answered again (nothing was killed: 0), and until
    an event that was sent at that moment was in the mart."""

    killed: str
    answers: float
    in_mart: float


def recoveries() -> list[Recovery]:
    return [Recovery(**one) for one in json.loads(FIGURES.read_text("utf-8"))]
