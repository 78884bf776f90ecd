# /// script
# requires-python = ">=3.11"
# dependencies = ["quixstreams==3.28.1"]
# ///
"""Orders of each region and minute, counted exactly once by Quix Streams: the work of the metric in bench/stream.py.

    uv run --script bench/peers/quix_app.py CLIENT INPUT OUTPUT GROUP COUNT FOLDER

CLIENT is a file with librdkafka's options as JSON. Runs in its own environment, which uv creates from the lines above,
so that the project does not depend on it. Rows are emitted as they change, like the lake's; emitting them only when a
window is closed (`final`) would cost a fifth less.
"""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from quixstreams import Application
from quixstreams.dataframe.windows import Count, Sum
from quixstreams.kafka.configuration import ConnectionConfig

MINUTE_MS = 60_000


def main(client: str, topic: str, output: str, group: str, count: str, folder: str) -> None:
    app = Application(
        ConnectionConfig.from_librdkafka_dict(json.loads(Path(client).read_text("utf-8"))),
        consumer_group=group,
        auto_offset_reset="earliest",
        commit_interval=0.1,
        processing_guarantee="exactly-once",
        state_dir=folder,
        loglevel="WARNING",
        consumer_extra_config={"fetch.queue.backoff.ms": 5, "fetch.wait.max.ms": 200},
    )
    orders = app.dataframe(app.topic(topic, key_deserializer="str", timestamp_extractor=time_of))
    sums = orders.apply(measures).tumbling_window(MINUTE_MS, grace_ms=MINUTE_MS)
    rows = sums.agg(orders=Count(), quantity=Sum("quantity"), amount=Sum("cents")).current()
    rows = rows.apply(row, metadata=True)
    rows.to_topic(app.topic(output, key_serializer="str"))
    app.run(count=int(count), collect=False)


def time_of(order: Any, headers: Any, timestamp: float, kind: Any) -> int:
    """Return milliseconds since 1970 UTC, the form of Quix."""
    return int(datetime.fromisoformat(order["ordered_at"]).timestamp()) * 1000


def measures(order: Any) -> dict[str, int]:
    """Return the values to add up; the amount, which has two places after the point, in cents."""
    return {"quantity": order["quantity"], "cents": int(order["amount"].replace(".", ""))}


def row(sums: Any, region: str, timestamp: int, headers: Any) -> dict[str, Any]:
    """Return a row of the output; the window's start in milliseconds since 1970 UTC, the amount in cents."""
    return {"region": region, "window_start": sums["start"], "orders": sums["orders"],
            "quantity": sums["quantity"], "amount": sums["amount"]}  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
