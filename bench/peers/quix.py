"""Peer in Python: Quix Streams, which also has windows and exactly-once processing."""

import json
import sys
import time
from pathlib import Path

from bench.peers.run import Run, running
from lake_assets.landing.broker import broker_options
from lake_assets.settings import PROJECT, Settings
from lake_assets.stack.passwords import write_private
from lake_assets.stack.setup import find_uv

APP = Path(__file__).with_name("quix_app.py")
# Measured on 2 cores: 2,000 to 5,000 events a second, from the first second to the last, so no more are needed.
MOST = 50_000


def rate(settings: Settings, topic: str, count: int, work: Path) -> float:
    """Measure events per second of the second half of `count` events of `topic`, at most MOST, whose key is the region.

    Raises PeerFailed.
    """
    run = Run(settings, topic, f"bench-quix-{time.time_ns()}", min(count, MOST))
    run.make_output()
    uv = [find_uv(PROJECT / ".tools"), "run", "--script", "--python", sys.executable]
    client = work / f"{run.group}.json"
    write_private(client, json.dumps(broker_options(settings)))
    arguments = [str(client), topic, run.output, run.group, str(run.count), str(work / run.group)]
    with running([*uv, str(APP), *arguments], work / f"{run.group}.log") as process:
        return run.measure(process)
