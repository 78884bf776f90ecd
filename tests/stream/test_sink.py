"""The sink gets each row into the database, whatever it was away for."""

from collections.abc import Callable

import dagster as dg
import psycopg
import pytest
from confluent_kafka import Producer

from lake_assets.landing.broker import broker_options
from lake_assets.landing.connect import connector_status, failures
from lake_assets.orchestration.connectors import connectors_sensor
from lake_assets.settings import Settings
from tests.support.conditions import wait_until
from tests.support.connect_api import ask
from tests.support.counted_metrics import Counted
from tests.support.order_events import START, order


def send(counted: Counted, first: int, count: int) -> None:
    producer = Producer(broker_options(counted.settings))
    for number in range(first, first + count):
        producer.produce(counted.asset.topic, order(number, START), f"o{number}", partition=0)
    assert producer.flush(30) == 0


def counted_events(counted: Counted) -> int:
    return counted.instances.numbers("one").get("events", 0)


def test_a_sink_that_was_away_takes_many_revisions_of_one_row_at_once(counted: Callable[..., Counted]) -> None:
    """Regression: the driver joined them into one statement, which Postgres refuses, and the sink failed for good."""
    made = counted("away")
    sink = f"/connectors/{made.metric.topic}"
    ask(made.settings, "PUT", f"{sink}/pause")
    made.instances.start("one")
    for number in range(5):
        send(made, number, 1)
        wait_until(lambda number=number: counted_events(made) > number)
    ask(made.settings, "PUT", f"{sink}/resume")
    made.wait_for(5)
    assert [row[:2] for row in made.rows().values()] == [(5, 5)]


@pytest.mark.fault("a sink's task fails", "it is named, and started again by itself")
def test_a_sink_that_failed_is_named_and_started_again_by_itself(counted: Callable[..., Counted]) -> None:
    made = counted("failing")
    table = f"metrics.{made.metric.table}_shards"
    with psycopg.connect(made.settings.postgres.conninfo("lake"), autocommit=True) as session:
        session.execute(f"alter table {table} rename column orders to hidden".encode())
        made.instances.start("one")
        send(made, 0, 3)
        wait_until(lambda: made.metric.topic in failures(made.settings))
        assert "orders" in failures(made.settings)[made.metric.topic]
        session.execute(f"alter table {table} rename column hidden to orders".encode())
    sensor = connectors_sensor(made.settings)
    result = sensor(dg.build_sensor_context())
    assert isinstance(result, dg.SensorResult)
    assert made.metric.topic in str(result.skip_reason)
    assert made.metric.topic in str(result.cursor)
    made.wait_for(3)
    status = connector_status(made.settings, made.metric.topic)
    assert status is not None
    assert status.running


def test_a_metric_takes_few_of_the_database_s_connections(counted: Callable[..., Counted], stack: Settings) -> None:
    """Regression: each had held ten, and the twentieth metric got none."""
    before = connections(stack)
    made = counted("modest")
    made.instances.start("one")
    send(made, 0, 3)
    made.wait_for(3)
    assert connections(stack) - before <= 4


def connections(settings: Settings) -> int:
    with psycopg.connect(settings.postgres.conninfo("lake")) as session:
        found = session.execute("select count(*) from pg_stat_activity where usename = 'connect'").fetchone()
    assert found is not None
    return int(found[0])
