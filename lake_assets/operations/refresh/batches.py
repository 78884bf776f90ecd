"""Order in which a refresh builds its windows, and the batches that are built together. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lake_assets.catalog.failure import Cause
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.isolate import SAMPLE, common, sample

# Rows that one conform holds in memory; a window with more rows is a batch of its own and spills to disk.
BATCH_ROWS = 2_000_000
# Windows in one conform, and in one transaction of the warehouse.
BATCH_WINDOWS = 100


@dataclass
class BatchQueue:
    """Windows that a refresh has still to build.

    `probes` are built before the others, one at a time: when all of them fail with one cause, the others are not tried.
    `suspects` may have ended an earlier run; they come last, one at a time. So do the windows `without_raw`.
    """

    waiting: list[WindowInput]
    probes: list[str]
    suspects: Collection[str]
    without_raw: Collection[str]
    on_duckdb: bool
    sampled: bool = field(default=False, init=False)

    @property
    def windows(self) -> list[str]:
        """Names of the windows that wait."""
        return [window.window for window in self.waiting]

    def take(self) -> list[WindowInput]:
        """Remove the next batch from the queue and return it; empty at the end."""
        batch = self._next()
        names = {window.window for window in batch}
        self.waiting = [window for window in self.waiting if window.window not in names]
        return batch

    def _next(self) -> list[WindowInput]:
        if probes := [window for window in self.waiting if window.window in self.probes]:
            return probes[:1]
        with_raw = [window for window in self.waiting if window.window not in self.without_raw]
        if not with_raw:
            return self.waiting[:1]
        # Spark distributes the work itself, and starting it is what takes long: one job for all windows.
        if not self.on_duckdb:
            return with_raw
        unsuspected = [window for window in with_raw if window.window not in self.suspects]
        return next(batches(unsuspected)) if unsuspected else with_raw[:1]

    def shared_cause(
        self, batch: Sequence[WindowInput], conform_causes: Mapping[str, Cause], causes: Mapping[str, Cause]
    ) -> Cause | None:
        """Return the cause with which all probes failed, once all are built: it stands for the windows that wait.

        `conform_causes` are those of the batch, `causes` those of all windows so far. When a whole batch fails with one
        cause, new probes are chosen once, to see at once if the others do too.
        """
        if self.probes and not {*self.probes} & {*self.windows}:
            probes, self.probes = self.probes, []
            return common([causes.get(window) for window in probes])
        failed_alike = len(batch) > SAMPLE and common([conform_causes.get(window.window) for window in batch])
        if failed_alike and self.waiting and not self.sampled:
            self.sampled, self.probes = True, sample(self.windows)
        return None


def batches(inputs: Sequence[WindowInput]) -> Iterator[list[WindowInput]]:
    """Group windows, in order, so that each group is small enough for one conform."""
    batch: list[WindowInput] = []
    rows = 0
    for window in inputs:
        if batch and (rows + window.rows > BATCH_ROWS or len(batch) == BATCH_WINDOWS):
            yield batch
            batch, rows = [], 0
        batch.append(window)
        rows += window.rows
    if batch:
        yield batch
