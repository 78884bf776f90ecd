"""Reload a changed catalog or dbt project in the running stack: in Dagster, and in the metrics' processes."""

import time
from collections.abc import Callable, Sequence

from lake_assets.dbt.manifest import newest_change
from lake_assets.home import Home
from lake_assets.operations.apply_steps import Step
from lake_assets.settings import Settings
from lake_assets.stack.lifecycle import reload_definitions, status, up, wait_for_answer
from lake_assets.stack.stream import failed_metrics, stream_parts


def reload_code(settings: Settings, applied: Sequence[Step], on_progress: Callable[[str], None]) -> bool:
    """Reload the running stack after an apply. Return True when the code server was restarted.

    It is restarted when the catalog changed, or when the dbt project changed after the server started. The metrics'
    processes are started with the first metric and stopped with the last; in between they follow what is applied, which
    is waited for; those that fail are named. Affects the embedded stack only.
    """
    catalog_changed = any(step.kind in ("contract", "metric") for step in applied)
    parts = {part.name: part for part in status()}
    code = parts.get("code")
    if code is None or not code.pid or code.uptime is None:
        return False
    counting = stream_parts(settings)
    idle = [name for name in counting if not parts[name].pid]
    if idle or (not counting and any(step.action == "end" for step in applied)):
        up(on_progress, idle or ["code"])
    if catalog_changed:
        for name in counting:
            wait_for_answer(name)
            if problem := failed_metrics(settings, Home(settings.home), name):
                on_progress(problem)
    if not catalog_changed and newest_change(settings) < time.time() - code.uptime:
        return False
    on_progress("reloading Dagster's definitions")
    reload_definitions()
    return True
