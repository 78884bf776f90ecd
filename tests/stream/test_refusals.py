"""Changes that would count wrongly are refused with a sentence, and nothing is counted meanwhile."""

from collections.abc import Callable
from dataclasses import replace

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions  # pyright: ignore[reportPrivateImportUsage]

from lake_assets.landing.broker import broker_options
from tests.support.conditions import wait_until
from tests.support.counted_metrics import Counted
from tests.support.order_events import Expected, orders


def send(made: Counted, expected: Expected, count: int = 500) -> None:
    producer = Producer(broker_options(made.settings))
    for key, payload in orders(count, expected):
        producer.produce(made.asset.topic, payload, key)
    assert producer.flush(60) == 0


def refusal(made: Counted) -> str:
    """Return the error of an instance that ends by itself with the exit code of a refusal."""
    made.instances.start("refused")
    assert made.instances.processes.pop("refused").wait(60) == 2
    return made.instances.log("refused").read_text("utf-8")


def count_some(made: Counted) -> Expected:
    expected = Expected()
    made.instances.start("first")
    send(made, expected)
    made.wait_for(expected.orders)
    assert made.instances.stop("first") == 0
    return expected


def test_a_definition_that_changed_under_its_state_is_refused(counted: Callable[..., Counted]) -> None:
    made = counted("redefined")
    expected = count_some(made)
    path = made.instances.catalog / "metrics" / "redefined.yaml"
    path.write_text(path.read_text("utf-8").replace("window: 1m", "window: 1h"), "utf-8")
    sentence = refusal(made)
    assert "the definition of 'redefined_by_region' changed while its state was kept" in sentence
    assert expected.agrees_with(made.rows())


def test_a_topic_with_more_partitions_than_before_is_refused(counted: Callable[..., Counted]) -> None:
    made = counted("grown")
    expected = count_some(made)
    client = AdminClient(broker_options(made.settings))
    client.create_partitions([NewPartitions(made.asset.topic, 5)])[made.asset.topic].result()
    sentence = refusal(made)
    assert "has 5 partitions, but the metric 'grown_by_region' was made for 4" in sentence
    assert expected.agrees_with(made.rows())


def test_offsets_that_another_program_committed_are_refused(counted: Callable[..., Counted]) -> None:
    made = counted("moved")
    expected = count_some(made)
    consumer = Consumer({**broker_options(made.settings), "group.id": made.metric.topic})
    consumer.commit(offsets=[TopicPartition(made.asset.topic, 0, 1)], asynchronous=False)
    consumer.close()
    sentence = refusal(made)
    assert "has offsets that this application did not commit" in sentence
    assert expected.agrees_with(made.rows())


def test_a_changelog_that_another_application_writes_to_is_refused(counted: Callable[..., Counted]) -> None:
    made, expected = counted("shared"), Expected()
    made.instances.start("first")
    send(made, expected)
    made.wait_for(expected.orders)
    producer = Producer(broker_options(made.settings))
    for partition in range(made.asset.partitions):
        producer.produce(made.metric.changelog, b"{}", b"somebody", partition=partition)
    assert producer.flush(60) == 0
    send(made, Expected())  # repeats, which move the position and count nothing
    wait_until(made.all_counted)
    assert made.instances.stop("first") == 0
    sentence = refusal(made)
    assert "is not this metric's" in sentence
    assert expected.agrees_with(made.rows())


def test_a_metric_that_does_not_exist_is_named_with_those_that_do(counted: Callable[..., Counted]) -> None:
    made = counted("known")
    made.instances.metric = replace(made.metric, name="unknown")
    sentence = refusal(made)
    assert "there is no metric 'unknown'" in sentence
    assert "known_by_region" in sentence
