"""Bring windows of one asset up to date: select them, conform a batch, publish a batch, record it. See `run`.

`queue` fills and reads the queue, `select` and `batches` choose windows, `conform` and `publish` process one batch.
"""

from lake_assets.operations.refresh.batches import BATCH_ROWS
from lake_assets.operations.refresh.context import ConformResult, RefreshContext
from lake_assets.operations.refresh.queue import RequestedWindows, observe, queued_windows, windows_of_lane
from lake_assets.operations.refresh.result import Refresh
from lake_assets.operations.refresh.run import refresh

__all__ = [
    "BATCH_ROWS",
    "ConformResult",
    "Refresh",
    "RefreshContext",
    "RequestedWindows",
    "observe",
    "queued_windows",
    "refresh",
    "windows_of_lane",
]
