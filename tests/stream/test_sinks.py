"""Rows reach the database whatever their sink has been through."""

from collections.abc import Callable

import psycopg
import requests

from lake_assets.landing.connect import connector_status
from tests.stack.conditions import wait_until
from tests.stream.counted import Counted
from tests.stream.events import START, Expected, order, orders
from tests.stream.sending import produce


def test_a_sink_that_was_away_takes_many_revisions_of_a_row_at_once(counted: Callable[..., Counted]) -> None:
    """Its task had failed for good: Postgres refuses a statement that changes a row twice."""
    made = counted("behind")
    connector = f"{made.settings.connect}/connectors/{made.metric.topic}"
    requests.put(f"{connector}/stop", timeout=30).raise_for_status()
    made.instances.start("one")
    for start in range(0, 400, 100):
        events = ((f"o{number}", order(number, START)) for number in range(start, start + 100))
        produce(made, events, 50_000).join()
        wait_until(made.all_counted)
    requests.put(f"{connector}/resume", timeout=30).raise_for_status()
    made.wait_until_settled()
    assert made.orders() == 400


def test_a_sink_that_failed_is_started_again_by_the_application(counted: Callable[..., Counted]) -> None:
    """A database that is starting makes its task fail for good; nobody had started it again."""
    made, expected = counted("failing"), Expected()
    shards = f"metrics.{made.metric.table}_shards"
    _change(made, f"alter table {shards} rename to away")
    made.instances.start("one")
    produce(made, orders(500, expected), 5_000).join()
    wait_until(lambda: _failed(made))
    _change(made, f"alter table metrics.away rename to {made.metric.table}_shards")
    made.wait_until_settled()
    assert expected.agrees_with(made.rows())


def _change(made: Counted, statement: str) -> None:
    with psycopg.connect(made.settings.postgres.conninfo("lake")) as session:
        session.execute(statement.encode())


def _failed(made: Counted) -> bool:
    status = connector_status(made.settings, made.metric.topic)
    return status is not None and status.failure is not None
