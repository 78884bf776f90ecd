"""Makes what runs see a changed catalog or a changed dbt project: Dagster, and the metrics' processes."""

import time
from collections.abc import Callable, Collection, Sequence

from lake_assets.orchestration.apply import Step
from lake_assets.orchestration.manifest import newest_change
from lake_assets.project import read_catalog, read_metrics
from lake_assets.settings import Settings
from lake_assets.stack.lifecycle import reload_definitions, restart, status, up
from lake_assets.stack.stream import stream_parts


def reload_code(settings: Settings, applied: Sequence[Step], on_progress: Callable[[str], None]) -> bool:
    """Whether the code server was restarted: the catalog changed, or the dbt project has since the server started.

    The processes of new metrics are started, and those whose source's contract changed read it. Only the embedded
    stack's; another Dagster reloads in its own way.
    """
    contracts = {step.name for step in applied if step.kind == "contract"}
    catalog_changed = bool(contracts) or any(step.kind == "metric" for step in applied)
    parts = {part.name: part for part in status()}
    code = parts.get("code")
    if code is None or not code.pid or code.uptime is None:
        return False
    if idle := [name for name in stream_parts(settings) if not parts[name].pid]:
        up(on_progress, idle)
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
    """The parts that count events of these assets."""
    if not assets:
        return []
    metrics = read_metrics(settings, read_catalog(settings))
    return [part for part, name in stream_parts(settings).items() if metrics[name].source in assets]
