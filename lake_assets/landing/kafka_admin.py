"""Kafka's administration client, with types: confluent_kafka declares its results as futures of anything."""

# confluent_kafka documents these names in `admin` without exporting them.
# pyright: reportPrivateImportUsage=false

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Protocol

from confluent_kafka import TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    ListOffsetsResultInfo,
    NewTopic,
    OffsetSpec,
)


class KafkaAdmin(Protocol):
    """Methods of `AdminClient` that the lake calls."""

    def list_topics(self, *, timeout: float) -> ClusterMetadata: ...
    def create_topics(self, new_topics: list[NewTopic], *, operation_timeout: float) -> Mapping[str, Future[None]]: ...
    def delete_topics(self, topics: list[str], *, operation_timeout: float = 0) -> Mapping[str, Future[None]]: ...
    def describe_configs(
        self, resources: list[ConfigResource], *, request_timeout: float
    ) -> Mapping[ConfigResource, Future[Mapping[str, ConfigEntry]]]: ...
    def incremental_alter_configs(
        self, resources: list[ConfigResource], *, request_timeout: float
    ) -> Mapping[ConfigResource, Future[None]]: ...
    def create_acls(self, acls: list[AclBinding], *, request_timeout: float) -> Mapping[AclBinding, Future[None]]: ...
    def describe_acls(
        self, acl_binding_filter: AclBindingFilter, *, request_timeout: float
    ) -> Future[list[AclBinding]]: ...
    def delete_acls(
        self, acl_binding_filters: list[AclBindingFilter], *, request_timeout: float
    ) -> Mapping[AclBindingFilter, Future[list[AclBinding]]]: ...
    def list_offsets(
        self, topic_partition_offsets: dict[TopicPartition, OffsetSpec], *, request_timeout: float
    ) -> Mapping[TopicPartition, Future[ListOffsetsResultInfo]]: ...
