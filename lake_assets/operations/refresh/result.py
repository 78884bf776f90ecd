"""Result of a refresh."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lake_assets.catalog.failure import Cause
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.conform.engine import Choice


@dataclass(slots=True)
class Refresh:
    """Result of a refresh.

    `published` and `held_back` are outputs of windows. `causes` has the cause of each failed window, `sentences` the
    reason for each one that is held back because it is over its budget. `details` is what the engine reports.
    `unchanged` are windows that stay as they are, because retention removed the rows they were built from.
    """

    asset: Asset
    sequence: int = 0
    engine: Choice | None = None
    causes: dict[str, Cause] = field(default_factory=dict[str, Cause])
    sentences: dict[str, str] = field(default_factory=dict[str, str])
    details: dict[str, object] = field(default_factory=dict[str, object])
    published: list[WindowOutput] = field(default_factory=list[WindowOutput])
    held_back: list[WindowOutput] = field(default_factory=list[WindowOutput])
    conform_seconds: float = 0.0
    publish_seconds: float = 0.0
    unchanged: tuple[str, ...] = ()

    @property
    def failed(self) -> Mapping[str, str]:
        """Causes of the failed windows, as sentences."""
        return {window: cause.sentence for window, cause in self.causes.items()}

    @property
    def done(self) -> list[str]:
        """Windows that leave the queue."""
        return [*(output.window for output in (*self.published, *self.held_back)), *self.unchanged]
