"""Instances share the partitions by the protocol that the broker has."""

from lake_assets.settings import Settings
from stream_app.group_protocol import group_settings


def test_a_broker_with_its_own_protocol_is_asked_for_it(stack: Settings) -> None:
    assert group_settings(stack) == {"group.protocol": "consumer"}
