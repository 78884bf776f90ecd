"""Makes a running Dagster see a changed catalog or a changed dbt project."""

import time
from collections.abc import Callable

from lake_assets.orchestration.manifest import newest_change
from lake_assets.settings import Settings
from lake_assets.stack.lifecycle import reload_definitions, status


def reload_code(settings: Settings, catalog_changed: bool, on_progress: Callable[[str], None]) -> bool:
    """Whether the code server was restarted: the catalog changed, or the dbt project has since the server started.

    Only the embedded stack's; another Dagster reloads in its own way.
    """
    code = next((part for part in status() if part.name == "code" and part.pid), None)
    if code is None or code.uptime is None:
        return False
    if not catalog_changed and newest_change(settings) < time.time() - code.uptime:
        return False
    on_progress("reloading Dagster's definitions")
    reload_definitions()
    return True
