"""The steps of an apply plan: the description that a person reads, and the object that `apply` works on."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from lake_assets.landing.topics import Outcome

T = TypeVar("T")
Target = TypeVar("Target", covariant=True)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that apply does: `action` on the `kind` of thing called `name`, with details for a person.

    The actions `leave` and `keep` are differences that apply reports and does not change.
    """

    kind: str
    name: str
    action: str
    detail: str = ""

    @property
    def changes_something(self) -> bool:
        return self.action not in ("leave", "keep")


@dataclass(frozen=True, slots=True)
class PlannedStep(Generic[Target]):
    """A step with its target, such as a topic's specification. Without a target, the ledger alone records it."""

    step: Step
    target: Target


def targets(planned: Iterable[PlannedStep[object]], kind: type[T]) -> list[T]:
    """Return the targets of this type, of the steps that change something."""
    return [each.target for each in planned if each.step.changes_something and isinstance(each.target, kind)]


def steps_of_report(
    kind: str, name: str, outcome: Outcome, differences: Sequence[str], target: T
) -> Iterator[PlannedStep[T]]:
    """Yield the step for a raw table or a topic that is missing or differs."""
    match outcome:
        case "created":
            yield PlannedStep(Step(kind, name, "create"), target)
        case "updated":
            yield PlannedStep(Step(kind, name, "change", "; ".join(differences)), target)
        case "differs":
            yield PlannedStep(Step(kind, name, "leave", "; ".join(differences)), target)
        case "unchanged":
            pass
