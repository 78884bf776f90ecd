"""Topics: create them as compiled, report differences, and read the offsets of each partition."""

# confluent_kafka documents these names in `admin` without exporting them.
# pyright: reportPrivateImportUsage=false

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from lake_assets.compile.topic import TopicSpec
from lake_assets.errors import Unavailable
from lake_assets.landing.acls import allow_writing, end_writing, writable_topics
from lake_assets.landing.broker import DEADLINE_SECONDS, admin, broker_error, client_config, error_of, quiet
from lake_assets.landing.kafka_admin import KafkaAdmin
from lake_assets.settings import Settings
from lake_assets.waiting import poll_until

Outcome = Literal["created", "updated", "unchanged", "differs"]
_POLL_SECONDS = 0.1
_LISTING_SECONDS = 0.1
# Topics that one request names.
PIECE = 200
# The controller refuses a request that creates more than 10,000 records: one for each topic, partition and config. Also
# the number of partitions in one request for offsets.
PIECE_RECORDS = 4000


@dataclass(frozen=True, slots=True)
class TopicReport:
    """Outcome for one topic. `differs` is never changed automatically; `differences` are for users.

    `is_closed` if producers may not write to it yet, but should.
    """

    name: str
    outcome: Outcome
    differences: tuple[str, ...] = ()
    is_closed: bool = False


def compare_topics(settings: Settings, specs: Sequence[TopicSpec]) -> list[TopicReport]:
    """Return what `ensure_topics` would do, in the order of `specs`; changes nothing. Raises Unavailable."""
    client = admin(settings)
    try:
        partitions = _partitions(client)
        configs = _configs(client, [spec.name for spec in specs if spec.name in partitions])
        closed = _closed_topics(settings, client, specs)
    except KafkaException as exception:
        raise broker_error(settings, error_of(exception), "describe topics") from exception
    return [
        replace(_compare(spec, partitions.get(spec.name), configs.get(spec.name, {})), is_closed=spec.name in closed)
        for spec in specs
    ]


def ensure_topics(settings: Settings, specs: Sequence[TopicSpec], *, wait: bool = True) -> list[TopicReport]:
    """Create missing topics, set configs that differ, and open topics to producers.

    Raises Unavailable, or LakeError with the broker's reason.

    A partition count that differs is only reported, because more partitions send a key to another one than before.
    Without `wait` the broker may not list new topics yet: see `wait_until_listed`.
    """
    reports = compare_topics(settings, specs)
    client = admin(settings)
    by_name = {spec.name: spec for spec in specs}
    create = [by_name[report.name] for report in reports if report.outcome == "created"]
    update = [by_name[report.name] for report in reports if report.outcome == "updated"]
    try:
        # First, so that a topic that is listed can be written to.
        allow_writing(client, settings.kafka_producer, [report.name for report in reports if report.is_closed])
        _create(client, create)
        if wait:
            _wait_until_listed(client, {spec.name for spec in create})
        _set_configs(client, update)
    except KafkaException as exception:
        raise broker_error(settings, error_of(exception), "create topics") from exception
    return reports


def wait_until_listed(settings: Settings, topics: Collection[str]) -> None:
    """Wait until the broker lists these topics, which exist. Raises Unavailable."""
    try:
        _wait_until_listed(admin(settings), topics)
    except KafkaException as exception:
        raise broker_error(settings, error_of(exception), "describe topics") from exception


def _wait_until_listed(client: KafkaAdmin, topics: Collection[str]) -> None:
    """Wait, since Kafka answers before each broker lists a topic: a producer that starts now would not find it.

    A broker makes the files of a hundred partitions in a second.
    """
    seconds = DEADLINE_SECONDS + _LISTING_SECONDS * len(topics)
    wanted = {*topics}
    poll_until(lambda: not wanted or _partitions(client).keys() >= wanted, bool, seconds, _POLL_SECONDS)


def partition_counts(settings: Settings, topics: Collection[str]) -> dict[str, int]:
    """Return the number of partitions of each of these topics that exists. Raises Unavailable."""
    try:
        counts = _partitions(admin(settings))
    except KafkaException as exception:
        raise broker_error(settings, error_of(exception), "describe topics") from exception
    return {name: counts[name] for name in topics if name in counts}


def offsets(settings: Settings, topics: Collection[str]) -> dict[str, dict[int, tuple[int, int]]]:
    """Return first offset and end (one past the last) of every partition, in requests of bounded size.

    A topic that does not exist is left out. The end counts transaction markers and open transactions too. Raises
    Unavailable when the broker does not answer.
    """
    client = admin(settings)
    try:
        counts = _partitions(client)
        every = [TopicPartition(topic, p) for topic in topics if topic in counts for p in range(counts[topic])]
        ends = _list_offsets(client, every, OffsetSpec.latest())
        # A partition that never had a record begins where it ends.
        used = [one for one in every if ends[one.topic, one.partition] > 0]
        begins = _list_offsets(client, used, OffsetSpec.earliest())
    except KafkaException as exception:
        raise broker_error(settings, error_of(exception), "list offsets") from exception
    by_topic: dict[str, dict[int, tuple[int, int]]] = {topic: {} for topic in topics if topic in counts}
    for (topic, partition), end in ends.items():
        by_topic[topic][partition] = (begins.get((topic, partition), 0), end)
    return by_topic


def delete_topics(settings: Settings, names: Sequence[str]) -> None:
    """Delete those of the topics that exist with their ACLs, and wait until the broker does not list them any more.

    The broker deletes consumer groups' offsets of them, too. Raises Unavailable, or LakeError with its reason.
    """
    client = admin(settings)
    try:
        if settings.kafka_producer:
            end_writing(client, settings.kafka_producer, names)
        partitions = _partitions(client)
        existing = [name for name in names if name in partitions]
        for start in range(0, len(existing), PIECE):
            piece = existing[start : start + PIECE]
            for future in client.delete_topics(piece, operation_timeout=DEADLINE_SECONDS).values():
                try:
                    future.result()
                except KafkaException as exception:
                    if error_of(exception).code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                        raise
        # `lake apply` would take a topic that is still listed for the new one.
        are_deleted = poll_until(
            lambda: not existing or _partitions(client).keys().isdisjoint(existing),
            bool,
            DEADLINE_SECONDS,
            _POLL_SECONDS,
        )
        if not are_deleted:
            raise Unavailable(f"Kafka is still deleting {', '.join(existing)}: run this again.")
    except KafkaException as exception:
        raise broker_error(settings, error_of(exception), "delete topics") from exception


def read_from_beginning(settings: Settings, group: str, topic: str) -> None:
    """Make a consumer group read the topic from its first record when it reads it next.

    Its members may continue with other topics: a transaction commits offsets for a group without being one of them.
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


def _partitions(client: KafkaAdmin) -> dict[str, int]:
    """Return the number of partitions of every topic."""
    return {name: len(topic.partitions) for name, topic in client.list_topics(timeout=DEADLINE_SECONDS).topics.items()}


def _closed_topics(settings: Settings, client: KafkaAdmin, specs: Sequence[TopicSpec]) -> set[str]:
    """Return the topics that producers may not write to yet; none where the broker's owner decides."""
    names = {spec.name for spec in specs if spec.for_producers} if settings.kafka_producer else set[str]()
    return names - writable_topics(client, settings.kafka_producer) if names else names


def _configs(client: KafkaAdmin, names: Sequence[str]) -> dict[str, dict[str, str | None]]:
    configs: dict[str, dict[str, str | None]] = {}
    for start in range(0, len(names), PIECE):
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names[start : start + PIECE]]
        for resource, future in client.describe_configs(resources, request_timeout=DEADLINE_SECONDS).items():
            configs[resource.name] = {entry.name: entry.value for entry in future.result().values()}
    return configs


def _compare(spec: TopicSpec, partitions: int | None, config: Mapping[str, str | None]) -> TopicReport:
    if partitions is None:
        return TopicReport(spec.name, "created")
    changed = tuple(
        f"{key} is {config.get(key)}, not {value}" for key, value in spec.config.items() if config.get(key) != value
    )
    if partitions != spec.partitions:
        count = f"{partitions} partitions, not {spec.partitions}: a topic keeps the number it was created with"
        return TopicReport(spec.name, "differs", (count, *changed))
    return TopicReport(spec.name, "updated" if changed else "unchanged", changed)


def _create(client: KafkaAdmin, specs: Sequence[TopicSpec]) -> None:
    for piece in _pieces(specs):
        new = [NewTopic(spec.name, num_partitions=spec.partitions, config=dict(spec.config)) for spec in piece]
        for future in client.create_topics(new, operation_timeout=DEADLINE_SECONDS).values():
            try:
                future.result()
            except KafkaException as exception:
                if error_of(exception).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise


def _pieces(specs: Sequence[TopicSpec]) -> Iterator[list[TopicSpec]]:
    """Yield the topics in order, as many at a time as one request may name."""
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


def _set_configs(client: KafkaAdmin, specs: Sequence[TopicSpec]) -> None:
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
    client: KafkaAdmin, partitions: Sequence[TopicPartition], spec: OffsetSpec | None
) -> dict[tuple[str, int], int]:
    assert spec is not None  # confluent_kafka declares its own constants as optional
    offsets: dict[tuple[str, int], int] = {}
    for start in range(0, len(partitions), PIECE_RECORDS):
        requests = dict.fromkeys(partitions[start : start + PIECE_RECORDS], spec)
        for partition, future in client.list_offsets(requests, request_timeout=DEADLINE_SECONDS).items():
            offsets[partition.topic, partition.partition] = future.result().offset
    return offsets
