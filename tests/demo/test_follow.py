"""Following events into the marts: it is done when they are there, and not between two steps."""

import json

import pytest

from lake_assets.demo.tour import follow
from lake_assets.landing.produce import produce_lines
from lake_assets.ledger.ledger import Ledger
from lake_assets.settings import Settings
from tests.support.landed_records import apply, wait_for_rows
from tests.support.raw_assets import example_asset


class Reported(Exception):
    pass


def test_events_that_landed_and_no_sensor_has_seen_are_followed_on(stack: Settings) -> None:
    """Landed events are not in flight, and for seconds not yet queued: the demo ended there, without a mart."""
    asset = example_asset("followed", "demo")
    with Ledger(stack) as ledger:
        ledger.ensure_schema()
    apply(stack, asset, domain=asset.domain)
    produce_lines(stack, asset, [json.dumps({"id": "1", "at": "2026-02-01T10:00:00Z"}).encode()])
    wait_for_rows(stack, asset, 1)

    def report(sentence: str) -> None:
        raise Reported(sentence)

    with pytest.raises(Reported, match=r"^0 events in flight, 1 windows to build, \d+ marts to build$"):
        follow(stack, [asset], report)
