"""Group protocol of the instances: the broker's own (KIP-848) if it has one, else the classic one."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource  # pyright: ignore[reportPrivateImportUsage]

from lake_assets.landing.broker import broker_options
from lake_assets.landing.kafka_admin import KafkaAdmin
from lake_assets.settings import Settings

_PROTOCOLS = "group.coordinator.rebalance.protocols"
_SECONDS = 15.0
_CLASSIC: dict[str, str | int] = {
    "group.protocol": "classic",
    "partition.assignment.strategy": "cooperative-sticky",
    # Another instance takes over a dead one's partitions after this long.
    "session.timeout.ms": 6_000,
    "heartbeat.interval.ms": 1_500,
}


def group_settings(settings: Settings) -> dict[str, str | int]:
    """Return the consumer's settings for its group. Raises KafkaException when the broker does not answer.

    With KIP-848 the broker sets the time until a dead instance is noticed (`group.consumer.session.timeout.ms`). A
    broker that denies the request for its configuration gets the classic protocol, which all brokers support.
    """
    return _settings_for(AdminClient({**broker_options(settings), "log_level": 0}))


def _settings_for(admin: KafkaAdmin) -> dict[str, str | int]:
    broker = next(iter(admin.list_topics(timeout=_SECONDS).brokers))
    resource = ConfigResource(ConfigResource.Type.BROKER, str(broker))
    [response] = admin.describe_configs([resource], request_timeout=_SECONDS).values()
    try:
        config = response.result()
    except KafkaException:
        return _CLASSIC
    protocols = str(config[_PROTOCOLS].value) if _PROTOCOLS in config else ""
    return {"group.protocol": "consumer"} if "consumer" in protocols else _CLASSIC
