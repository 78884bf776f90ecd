"""Delivery of changes to every channel: what a channel did not take is tried again with the next changes."""

from collections.abc import Mapping, Sequence

from lake_assets.errors import LakeError
from lake_assets.operations.notify.changes import Known, Problem, find_changes, known_by_owner
from lake_assets.operations.notify.channels import Channel


def deliver(
    channels: Sequence[Channel], known: Mapping[str, Known], problems: Sequence[Problem]
) -> tuple[dict[str, Known], list[str]]:
    """Send all changes; return what owners know afterwards, by channel, and what failed.

    A message is sent twice only if the process ends between the sending and the recording of the result. A channel that
    is no longer set is forgotten.
    """
    now = known_by_owner(problems)
    after: dict[str, Known] = {}
    failed: list[str] = []
    for channel in channels:
        received = dict(known.get(channel.name, {}))
        for message in find_changes(received, now):
            try:
                channel.send(message)
            except LakeError as error:
                failed.append(f"{channel.name}: {error}")
                # The other owners' messages would wait for the same time-out.
                break
            received[message.owner] = now.get(message.owner, {})
        after[channel.name] = {owner: sentences for owner, sentences in received.items() if sentences}
    return after, failed
