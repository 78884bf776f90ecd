"""Reload a changed catalog or dbt project in the running stack: in Dagster, and in the metrics' processes."""

import time
from collections.abc import Callable, Collection, Sequence

from lake_assets.applied_files import read_copy
from lake_assets.dbt.manifest import newest_change
from lake_assets.operations.apply_steps import Step
from lake_assets.settings import Settings
from lake_assets.stack.lifecycle import reload_definitions, restart, status, up
from lake_assets.stack.stream import PREFIX, stream_parts


def reload_code(settings: Settings, applied: Sequence[Step], on_progress: Callable[[str], None]) -> bool:
    """Reload the running stack after an apply. Return True when the code server was restarted.

    It is restarted when the catalog changed, or when the dbt project changed after the server started. Starts the
    processes of new metrics, and restarts those whose source's contract changed. Affects the embedded stack only.
    """
    contracts = {step.name for step in applied if step.kind == "contract"}
    catalog_changed = bool(contracts) or any(step.kind == "metric" for step in applied)
    parts = {part.name: part for part in status()}
    code = parts.get("code")
    if code is None or not code.pid or code.uptime is None:
        return False
    counting = stream_parts(settings)
    idle = [name for name in counting if not parts[name].pid]
    if idle or any(step.action == "end" for step in applied):
        up(on_progress, idle or ["code"])
    for name in _counting(settings, contracts):
        if name not in idle:
            on_progress(f"restarting {name}")
            restart(name)
    if not catalog_changed and newest_change(settings) < time.time() - code.uptime:
        return False
    on_progress("reloading Dagster's definitions")
    reload_definitions()
    return True


def _counting(settings: Settings, assets: Collection[str]) -> list[str]:
    """Return the names of the stream parts that read these assets."""
    if not assets:
        return []
    metrics = read_copy(settings).metrics.values()
    return [f"{PREFIX}{metric.table}" for metric in metrics if metric.source in assets]
