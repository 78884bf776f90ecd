"""Differences between the database and a fold of the events."""

from collections import Counter

from tests.support.counted_metrics import Counted
from tests.support.metric_watch import Watch
from tests.support.order_events import Expected


def differences(made: Counted, expected: Expected, watch: Watch) -> list[str]:
    """Return the differences once all events have settled, one sentence each; empty when there is none."""
    found: list[str] = []
    rows = {cell: row[:3] for cell, row in made.rows().items()}
    for cell in sorted(rows.keys() | expected.totals.keys()):
        if rows.get(cell) != expected.totals.get(cell):
            found.append(f"{cell}: the view says {rows.get(cell)}, the fold {expected.totals.get(cell)}")
    if late := made.late():
        found.append(f"{late} events are late, and none should be")
    places = made.undecodable()
    if len(places) != expected.broken:
        found.append(f"{len(places)} records were set aside, and {expected.broken} are broken")
    if twice := [place for place, times in Counter(places).items() if times > 1]:
        found.append(f"records were set aside more than once: {twice}")
    found += [f"a row went backwards: {seen}" for seen in watch.backwards]
    for log in sorted(made.instances.catalog.glob("*.log")):
        if "Traceback" in log.read_text("utf-8"):
            found.append(f"an instance ended without a sentence: {log.name}")
    return found
