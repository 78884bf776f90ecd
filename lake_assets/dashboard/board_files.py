"""Boards of the lake as it is now: read again when dbt's manifest or the applied catalog changes."""

import threading
from pathlib import Path

from lake_assets.applied_files import applied_folder, read_copy
from lake_assets.dbt.boards import Boards, read_boards
from lake_assets.dbt.environment import manifest_path
from lake_assets.dbt.mart_reads import stored_manifest
from lake_assets.settings import Settings

State = tuple[float, ...]


class BoardFiles:
    """The boards of one lake. A check for changes costs two calls of the file system."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._state: State | None = None
        self._boards = Boards()

    def read(self) -> Boards:
        with self._lock:
            state = self._read_state()
            if state != self._state:
                manifest, applied = stored_manifest(self._settings), read_copy(self._settings)
                self._boards = Boards()
                if manifest:
                    self._boards = read_boards(manifest, applied.metrics, applied.assets.values())
                self._state = state
            return self._boards

    def own_page(self, board: str) -> Path | None:
        """Return the hand-written page of a board, `boards/NAME.py` in the dbt project, if there is one."""
        page = self._settings.dbt_project / "boards" / f"{board}.py"
        return page if page.is_file() else None

    def _read_state(self) -> State:
        applied = applied_folder(self._settings)
        files = (manifest_path(self._settings), applied / "assets", applied / "metrics")
        return tuple(path.stat().st_mtime for path in files if path.exists())
