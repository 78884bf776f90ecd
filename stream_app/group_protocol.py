"""How instances share the partitions: by the broker's own protocol (KIP-848), or where it has none by the classic."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource  # pyright: ignore[reportPrivateImportUsage]

from lake_assets.landing.broker import broker_options
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
    """The consumer's settings for its group. Raises KafkaException when the broker does not answer.

    With KIP-848 the time until a dead instance is noticed is the broker's (`group.consumer.session.timeout.ms`). A
    broker that does not let itself be asked gets the classic protocol, which all have.
    """
    admin = AdminClient({**broker_options(settings), "log_level": 0})
    broker = next(iter(admin.list_topics(timeout=_SECONDS).brokers))
    resource = ConfigResource(ConfigResource.Type.BROKER, str(broker))
    [answer] = admin.describe_configs([resource], request_timeout=_SECONDS).values()
    try:
        found = answer.result()
    except KafkaException:
        return _CLASSIC
    protocols = str(found[_PROTOCOLS].value) if _PROTOCOLS in found else ""
    return {"group.protocol": "consumer"} if "consumer" in protocols else _CLASSIC
