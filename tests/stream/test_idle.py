"""Progress of event time for a partition without new events."""

from stream_app.loop import idle_watermark
from stream_app.state import BEFORE_ALL


def test_idle_partitions_wait_for_the_slowest_busy_one() -> None:
    """Events after the idle time would be late with a faster partition's time, and those beside them would not."""
    assert idle_watermark([(100, True), (300, False), (200, False), (900, True)]) == 200


def test_when_all_are_idle_the_newest_time_closes_their_windows() -> None:
    assert idle_watermark([(100, True), (300, True)]) == 300
    assert idle_watermark([]) == BEFORE_ALL
