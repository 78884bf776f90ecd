"""Topics: make them as compiled, say what differs, and read how far each partition goes."""

# confluent_kafka documents these names in `admin` without exporting them.
# pyright: reportPrivateImportUsage=false

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from lake_assets.compile.topic import TopicSpec
from lake_assets.errors import Unavailable
from lake_assets.landing.broker import DEADLINE_SECONDS, admin, broker_error, client_config, error_of, quiet
from lake_assets.settings import Settings
from lake_assets.waiting import poll_until

Outcome = Literal["created", "updated", "unchanged", "differs"]
_POLL_SECONDS = 0.1
# Topics that one request names.
PIECE = 200
# The controller refuses a request that makes more than 10,000 records: one for each topic, partition and config. Also
# the partitions whose offsets one request asks for.
PIECE_RECORDS = 4000


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What was found or done. `differs` is what nobody may change by itself; `differences` says it in words."""

    name: str
    outcome: Outcome
    differences: tuple[str, ...] = ()


def compare_topics(settings: Settings, specs: Sequence[TopicSpec]) -> list[TopicReport]:
    """What `ensure_topics` would do, in the order of `specs`; changes nothing. Raises Unavailable."""
    client = admin(settings)
    try:
        partitions = _partitions(client)
        configs = _configs(client, [spec.name for spec in specs if spec.name in partitions])
    except KafkaException as exception:
        raise broker_error(settings, error_of(exception), "describe topics") from exception
    return [_compare(spec, partitions.get(spec.name), configs.get(spec.name, {})) for spec in specs]


def ensure_topics(settings: Settings, specs: Sequence[TopicSpec]) -> list[TopicReport]:
    """Make missing topics and set configs that differ; a partition count that differs is only reported, because
    more partitions send a key elsewhere than before. Raises Unavailable, or LakeError with the broker's reason."""
    reports = compare_topics(settings, specs)
    client = admin(settings)
    by_name = {spec.name: spec for spec in specs}
    create = [by_name[report.name] for report in reports if report.outcome == "created"]
    update = [by_name[report.name] for report in reports if report.outcome == "updated"]
    try:
        _create(client, create)
        _set_configs(client, update)
    except KafkaException as exception:
        raise broker_error(settings, error_of(exception), "make topics") from exception
    return reports


def partition_counts(settings: Settings, topics: Collection[str]) -> dict[str, int]:
    """The number of partitions of each of these topics that exists. Raises Unavailable."""
    try:
        found = _partitions(admin(settings))
    except KafkaException as exception:
        raise broker_error(settings, error_of(exception), "describe topics") from exception
    return {name: found[name] for name in topics if name in found}


def offsets(settings: Settings, topics: Collection[str]) -> dict[str, dict[int, tuple[int, int]]]:
    """First offset and end (one past the last) of every partition, in requests of bounded size.

    A topic that does not exist is left out. The end counts transaction markers and open transactions too. Raises
    Unavailable when the broker does not answer.
    """
    client = admin(settings)
    try:
        counts = _partitions(client)
        wanted = [TopicPartition(topic, p) for topic in topics if topic in counts for p in range(counts[topic])]
        begins = _list_offsets(client, wanted, OffsetSpec.earliest())
        ends = _list_offsets(client, wanted, OffsetSpec.latest())
    except KafkaException as exception:
        raise broker_error(settings, error_of(exception), "list offsets") from exception
    found: dict[str, dict[int, tuple[int, int]]] = {topic: {} for topic in topics if topic in counts}
    for (topic, partition), begin in begins.items():
        found[topic][partition] = (begin, ends[topic, partition])
    return found


def delete_topics(settings: Settings, names: Sequence[str]) -> None:
    """Delete those of the topics that exist, and wait until the broker does not know them any more.

    The broker forgets how far consumer groups have read them, too. Raises Unavailable, or LakeError with its reason.
    """
    client = admin(settings)
    try:
        known = _partitions(client)
        there = [name for name in names if name in known]
        for start in range(0, len(there), PIECE):
            piece = there[start : start + PIECE]
            for future in client.delete_topics(piece, operation_timeout=DEADLINE_SECONDS).values():
                try:
                    future.result()
                except KafkaException as exception:
                    if error_of(exception).code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                        raise
        # `lake apply` takes a topic that is still known for the one it wants.
        are_deleted = poll_until(
            lambda: not there or _partitions(client).keys().isdisjoint(there), bool, DEADLINE_SECONDS, _POLL_SECONDS
        )
        if not are_deleted:
            raise Unavailable(f"Kafka is still deleting {', '.join(there)}: say this again.")
    except KafkaException as exception:
        raise broker_error(settings, error_of(exception), "delete topics") from exception


def read_from_beginning(settings: Settings, group: str, topic: str) -> None:
    """Make a consumer group read the topic from its first record when it reads it next.

    Its members may go on with other topics: a transaction commits offsets for a group without being one of them.
    Raises Unavailable, or LakeError with the broker's reason.
    """
    begins = {partition: begin for partition, (begin, _) in offsets(settings, [topic]).get(topic, {}).items()}
    if not begins:
        return
    config = client_config(settings)
    try:
        consumer = Consumer({**config, "group.id": group}, logger=quiet())
        producer = Producer({**config, "transactional.id": f"lake-offsets-{group}"}, logger=quiet())
        try:
            producer.init_transactions(DEADLINE_SECONDS)
            producer.begin_transaction()
            positions = [TopicPartition(topic, partition, begin) for partition, begin in begins.items()]
            producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), DEADLINE_SECONDS)
            producer.commit_transaction(DEADLINE_SECONDS)
        finally:
            consumer.close()
    except KafkaException as exception:
        raise broker_error(settings, error_of(exception), f"set the offsets of {group}") from exception


def _partitions(client: AdminClient) -> dict[str, int]:
    """The number of partitions of every topic there is."""
    return {name: len(topic.partitions) for name, topic in client.list_topics(timeout=DEADLINE_SECONDS).topics.items()}


def _configs(client: AdminClient, names: Sequence[str]) -> dict[str, dict[str, str]]:
    configs: dict[str, dict[str, str]] = {}
    for start in range(0, len(names), PIECE):
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names[start : start + PIECE]]
        for resource, future in client.describe_configs(resources, request_timeout=DEADLINE_SECONDS).items():
            configs[resource.name] = {entry.name: entry.value for entry in future.result().values()}
    return configs


def _compare(spec: TopicSpec, partitions: int | None, config: Mapping[str, str]) -> TopicReport:
    if partitions is None:
        return TopicReport(spec.name, "created")
    changed = tuple(
        f"{key} is {config.get(key)}, not {value}" for key, value in spec.config.items() if config.get(key) != value
    )
    if partitions != spec.partitions:
        count = f"{partitions} partitions, not {spec.partitions}: a topic keeps the number it was made with"
        return TopicReport(spec.name, "differs", (count, *changed))
    return TopicReport(spec.name, "updated" if changed else "unchanged", changed)


def _create(client: AdminClient, specs: Sequence[TopicSpec]) -> None:
    for piece in _pieces(specs):
        new = [NewTopic(spec.name, num_partitions=spec.partitions, config=dict(spec.config)) for spec in piece]
        for future in client.create_topics(new, operation_timeout=DEADLINE_SECONDS).values():
            try:
                future.result()
            except KafkaException as exception:
                if error_of(exception).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise


def _pieces(specs: Sequence[TopicSpec]) -> Iterator[list[TopicSpec]]:
    """The topics in order, as many at a time as one request may name."""
    piece: list[TopicSpec] = []
    records = 0
    for spec in specs:
        own = 1 + spec.partitions + len(spec.config)
        if piece and (len(piece) == PIECE or records + own > PIECE_RECORDS):
            yield piece
            piece, records = [], 0
        piece.append(spec)
        records += own
    if piece:
        yield piece


def _set_configs(client: AdminClient, specs: Sequence[TopicSpec]) -> None:
    for piece in _pieces(specs):
        resources = [
            ConfigResource(
                ConfigResource.Type.TOPIC,
                spec.name,
                incremental_configs=[
                    ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                    for key, value in spec.config.items()
                ],
            )
            for spec in piece
        ]
        for future in client.incremental_alter_configs(resources, request_timeout=DEADLINE_SECONDS).values():
            future.result()


def _list_offsets(
    client: AdminClient, partitions: Sequence[TopicPartition], spec: OffsetSpec | None
) -> dict[tuple[str, int], int]:
    offsets: dict[tuple[str, int], int] = {}
    for start in range(0, len(partitions), PIECE_RECORDS):
        wanted: dict[TopicPartition, Any] = dict.fromkeys(partitions[start : start + PIECE_RECORDS], spec)
        for partition, future in client.list_offsets(wanted, request_timeout=DEADLINE_SECONDS).items():
            offsets[partition.topic, partition.partition] = future.result().offset
    return offsets
