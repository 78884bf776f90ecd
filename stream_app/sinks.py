"""Starts a metric's sinks again when they have failed.

A database that is starting refuses connections with an error that the connector takes for a final one, and a task that
failed stays so: without this, rows would wait for somebody to run `lake apply` after each restart of the database.
"""

import threading
import time
from collections.abc import Callable, Sequence

from lake_assets.errors import LakeError
from lake_assets.landing.connect import restart_failed
from lake_assets.settings import Settings

LOOK_SECONDS = 5.0
# What fails again at once is not a database that is coming back.
MOST_SECONDS = 300.0


def watch_sinks(settings: Settings, names: Sequence[str], say: Callable[[str], None]) -> None:
    """Looks at these connectors now and then, in a thread that ends with the process."""
    threading.Thread(target=_watch, args=(settings, names, say), daemon=True).start()


def _watch(settings: Settings, names: Sequence[str], say: Callable[[str], None]) -> None:
    pause = LOOK_SECONDS
    while True:
        time.sleep(pause)
        try:
            restarted = [name for name in names if restart_failed(settings, name)]
        except LakeError:  # the worker is away or busy: it is asked again
            continue
        if restarted:
            say(f"started {', '.join(restarted)} again, which had failed")
        pause = min(2 * pause, MOST_SECONDS) if restarted else LOOK_SECONDS
