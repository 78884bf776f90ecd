"""Makes a running Dagster see a changed catalog."""

from collections.abc import Callable

from lake_assets.settings import Settings
from lake_assets.stack.lifecycle import reload_definitions, status


def reload_code(settings: Settings, on_progress: Callable[[str], None]) -> None:
    """Restarts the code server when the embedded stack runs one; another Dagster reloads in its own way."""
    if any(part.name == "code" and part.pid for part in status()):
        on_progress("reloading Dagster's definitions")
        reload_definitions()
