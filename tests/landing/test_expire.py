"""Choice of snapshots of a raw table that stay."""

from collections.abc import Collection

from pyiceberg.table.snapshots import Operation, Snapshot, Summary

from lake_assets.landing.expire import KEPT_SNAPSHOTS, MOST_SNAPSHOTS, SINK_OFFSETS, kept_snapshots

SECOND = 1000


def commits(count: int, by_sink: Collection[int]) -> list[Snapshot]:
    """Commits of one a second, of which those with the numbers `by_sink` are the sink's."""
    return [
        Snapshot(
            snapshot_id=number,
            parent_snapshot_id=number - 1 if number > 1 else None,
            sequence_number=number,
            timestamp_ms=number * SECOND,
            manifest_list=f"file:///{number}.avro",
            summary=Summary(Operation.APPEND, **({f"{SINK_OFFSETS}x": "{}"} if number in by_sink else {})),
        )
        for number in range(1, count + 1)
    ]


def kept(snapshots: list[Snapshot], before: int) -> list[int]:
    return sorted(one.snapshot_id for one in kept_snapshots(snapshots, snapshots[-1], before))


def test_young_snapshots_stay_until_they_are_too_many() -> None:
    few = commits(MOST_SNAPSHOTS, range(MOST_SNAPSHOTS + 1))
    assert kept(few, 0) == [one.snapshot_id for one in few]
    assert kept(few, few[-3].timestamp_ms) == [MOST_SNAPSHOTS - 2, MOST_SNAPSHOTS - 1, MOST_SNAPSHOTS]
    many = commits(MOST_SNAPSHOTS + 1, range(MOST_SNAPSHOTS + 2))
    assert kept(many, 0) == [one.snapshot_id for one in many[-KEPT_SNAPSHOTS:]]


def test_all_snapshots_back_to_the_last_one_of_the_sink_stay() -> None:
    many = commits(MOST_SNAPSHOTS + 1, [3, 5])
    assert kept(many, 0) == list(range(5, MOST_SNAPSHOTS + 2))


def test_metadata_of_the_most_snapshots_is_below_a_megabyte() -> None:
    """A snapshot of the sink takes 1,085 bytes, and its entry in the log 80; `bench.growth` measures the whole file."""
    assert MOST_SNAPSHOTS * (1_085 + 80) < 1_000_000 * 0.8
