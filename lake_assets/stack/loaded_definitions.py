"""Definitions that are loaded ahead of runs, and loaded again by a run if the lake has changed since."""

import importlib
import logging
import sys
from collections.abc import Callable

from lake_assets.dbt.environment import manifest_path
from lake_assets.dbt.manifest import newest_change
from lake_assets.errors import LakeError
from lake_assets.ledger.applied import applied_digest
from lake_assets.ledger.ledger import Ledger
from lake_assets.settings import Settings, load_settings
from lake_assets.stack.dagster import DEFINITIONS

State = tuple[str, float, float]
_log = logging.getLogger("lake_assets")
# Loading parses a changed dbt project, which changes its manifest.
_ATTEMPTS = 3


class LoadedDefinitions:
    """Definitions that this process or its parent has loaded, with the state of the lake that they were loaded from."""

    def __init__(self, read_state: Callable[[], State | None], load: Callable[[], None]) -> None:
        self._read_state = read_state
        self._load = load
        self._state: State | None = None

    def load(self) -> None:
        """Load the definitions of one state of the lake. After an error, each run loads them by itself."""
        try:
            for _ in range(_ATTEMPTS):
                before = self._read_state()
                self._load()
                if self._read_state() == before:
                    self._state = before
                    return
        except Exception:
            _log.exception("the definitions could not be loaded ahead of the runs")

    def refresh(self) -> None:
        """Load the definitions again if something was applied since, or the dbt project has changed.

        Errors are left to the run, which reports them as its own.
        """
        try:
            is_current = self._state is not None and self._read_state() == self._state
        except LakeError:
            is_current = False
        if not is_current:
            self.load()


def read_state() -> State | None:
    """Return what the definitions depend on; None on a lake without a database."""
    settings = load_settings()
    if not settings.postgres.port:
        return None
    with Ledger(settings) as ledger:
        digest = applied_digest(ledger)
    return digest, newest_change(settings), _parsed_at(settings)


def _parsed_at(settings: Settings) -> float:
    path = manifest_path(settings)
    return path.stat().st_mtime if path.exists() else 0.0


def load_definitions() -> None:
    """Import the definitions again, and build what each run needs of them."""
    sys.modules.pop(DEFINITIONS, None)
    importlib.import_module(DEFINITIONS).defs.get_repository_def().load_all_definitions()
