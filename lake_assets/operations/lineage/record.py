"""Recording of a tick's events: into the files, then to the server."""

import json
from collections.abc import Iterable

from lake_assets.local_files import file_lock
from lake_assets.operations.lineage.destination import Destination
from lake_assets.operations.lineage.facets import Json
from lake_assets.operations.lineage.files import append, lineage_folder
from lake_assets.operations.lineage.send import Sent, read_sent, record_lost, send
from lake_assets.settings import Settings

# Two code servers may run for a moment while one replaces the other.
_LOCK_SECONDS = 5.0


def record(settings: Settings, destination: Destination, events: Iterable[Json]) -> Sent | None:
    """Append the events to the files and send what the server does not have; return its progress, None without one.

    Raises OSError if the files cannot be written, and Unavailable if another process is writing them. The server never
    fails a call.
    """
    folder = lineage_folder(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with file_lock(folder / "lock", _LOCK_SECONDS):
        unsent = read_sent(folder, destination.url).position if destination.url else None
        lost = append(folder, (json.dumps(event, separators=(",", ":")) for event in events), unsent)
        if not destination.url:
            return None
        if lost:
            record_lost(folder, destination.url, lost)
        return send(folder, destination)
