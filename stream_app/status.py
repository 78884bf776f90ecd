"""Status of an instance, for `lake status` and for Prometheus."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_app.state import BEFORE_ALL, PartitionState

_EXPLAINED = {
    "events": ("counter", "Events folded since the start."),
    "events_per_second": ("gauge", "Events folded in each second since the last report."),
    "rows": ("counter", "Rows written for the sink since the start."),
    "late": ("counter", "Events that came after their window was closed."),
    "undecodable": ("counter", "Records that break a rule of the contract."),
    "partitions": ("gauge", "Kafka partitions assigned to this instance."),
    "open_windows": ("gauge", "Windows that are not final yet."),
    "open_rows": ("gauge", "Groups of all open windows."),
    "watermark_seconds": ("gauge", "The earliest partition's watermark, in seconds since 1970; 0 before any event."),
    "transactions": ("counter", "Transactions committed since the start."),
    "failed_transactions": ("counter", "Transactions that failed and were rolled back."),
    "transaction_seconds": ("gauge", "Mean duration of a transaction since the last report."),
    "restoring": ("gauge", "Partitions whose state is being restored."),
    "restored_records": ("gauge", "Changelog records read by the current or last restore."),
    "restore_seconds": ("gauge", "Duration of the last restore."),
}


@dataclass(slots=True)
class Status:
    """Metrics of one instance; counters since its start, in events, rows and seconds."""

    metric: str
    instance: str
    events: int = 0
    events_per_second: float = 0.0
    rows: int = 0
    late: int = 0
    undecodable: int = 0
    partitions: int = 0
    open_windows: int = 0
    open_rows: int = 0
    watermark_seconds: float = 0.0
    transactions: int = 0
    failed_transactions: int = 0
    transaction_seconds: float = 0.0
    restoring: int = 0
    restored_records: int = 0
    restore_seconds: float = 0.0
    waiting_for: str = ""
    last_failure: str = ""
    next_offsets: dict[int, int] = field(default_factory=dict[int, int])
    _observed: float = field(default_factory=time.monotonic)
    _events_then: int = 0
    _transactions_then: int = 0
    _spent: float = 0.0

    def transaction(self, seconds: float) -> None:
        self.transactions += 1
        self._spent += seconds

    def restored(self, records: int) -> None:
        self.restored_records = records

    def observe(self, states: Mapping[int, PartitionState], next_offsets: Mapping[int, int]) -> None:
        """Update the gauges."""
        now = time.monotonic()
        done = self.transactions - self._transactions_then
        self.events_per_second = round((self.events - self._events_then) / max(now - self._observed, 1e-9), 1)
        self.transaction_seconds = round(self._spent / done, 4) if done else 0.0
        self._observed, self._events_then, self._transactions_then, self._spent = (
            now,
            self.events,
            self.transactions,
            0.0,
        )
        self.partitions = len(states)
        self.open_windows = len({window for state in states.values() for window in state.windows})
        self.open_rows = sum(state.open_rows for state in states.values())
        watermarks = [state.watermark for state in states.values() if state.watermark > BEFORE_ALL]
        self.watermark_seconds = min(watermarks, default=0) / 1000
        self.next_offsets = dict(next_offsets)

    def as_dict(self) -> dict[str, Any]:
        names = ("metric", "instance", *_EXPLAINED, "waiting_for", "last_failure", "next_offsets")
        return {"time": time.time()} | {name: getattr(self, name) for name in names}


def as_prometheus(statuses: Sequence[Status]) -> str:
    """Render the text format of Prometheus, version 0.0.4: each family once, with a sample for each status."""
    lines: list[str] = []
    for name, (kind, help_text) in _EXPLAINED.items():
        full = f"lake_stream_{name}{'_total' if kind == 'counter' else ''}"
        lines += [f"# HELP {full} {help_text}", f"# TYPE {full} {kind}"]
        for status in statuses:
            labels = f'metric="{status.metric}",instance="{status.instance}"'
            lines.append(f"{full}{{{labels}}} {getattr(status, name)}")
    return "\n".join(lines) + "\n"
