"""ACLs that let the user of producers write to the topics of assets, and nothing else."""

# confluent_kafka documents these names in `admin` without exporting them.
# pyright: reportPrivateImportUsage=false

from collections.abc import Sequence

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from lake_assets.landing.kafka_admin import KafkaAdmin

_SECONDS = 30.0
# ACLs that one request names.
PIECE = 200


def writable_topics(client: KafkaAdmin, user: str) -> set[str]:
    """Return the topics that an ACL of their own lets the user write. Raises KafkaException."""
    bindings = client.describe_acls(AclBindingFilter(*_rule(user, None)), request_timeout=_SECONDS).result()
    return {binding.name for binding in bindings}


def allow_writing(client: KafkaAdmin, user: str, topics: Sequence[str]) -> None:
    """Let the user write to these topics, which need not exist yet, and describe them. Raises KafkaException.

    An idempotent producer needs no more: the right to write includes the one to describe.
    """
    for start in range(0, len(topics), PIECE):
        bindings = [AclBinding(*_rule(user, topic)) for topic in topics[start : start + PIECE]]
        for future in client.create_acls(bindings, request_timeout=_SECONDS).values():
            future.result()


def end_writing(client: KafkaAdmin, user: str, topics: Sequence[str]) -> None:
    """Delete the ACLs of `allow_writing` that exist. Raises KafkaException."""
    for start in range(0, len(topics), PIECE):
        filters = [AclBindingFilter(*_rule(user, topic)) for topic in topics[start : start + PIECE]]
        for future in client.delete_acls(filters, request_timeout=_SECONDS).values():
            future.result()


def _rule(
    user: str, topic: str | None
) -> tuple[ResourceType, str, ResourcePatternType, str, str, AclOperation, AclPermissionType]:
    """Return the arguments of an ACL; those of a filter for all topics with `topic` None."""
    name: str = topic  # type: ignore[assignment]
    return (
        ResourceType.TOPIC,
        name,
        ResourcePatternType.LITERAL,
        f"User:{user}",
        "*",
        AclOperation.WRITE,
        AclPermissionType.ALLOW,
    )
