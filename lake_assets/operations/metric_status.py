"""Numbers of a metric's embedded instance, which `stream_app` writes to a file once a second."""

import json

from lake_assets.home import Home

# The embedded stack runs one instance of each metric, whatever process it is in.
INSTANCE = "1"


def read_metric_status(layout: Home, table: str) -> dict[str, object]:
    """Return the numbers of the metric with this table; empty before the instance has written any."""
    try:
        return json.loads(layout.metric_status(table, INSTANCE).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
