"""The balance of a window: what keeps rows that conform lost or doubled from being published."""

from dataclasses import replace

from lake_assets.catalog.window_results import PartitionCount, WindowOutput

COUNT = PartitionCount("shop.orders", 3, 10, 7, 2, 1, 0, 0, 9)


def output(*counts: PartitionCount, rows: int) -> WindowOutput:
    return WindowOutput("2026-01-01", rows, counts, (), (), 1, ())


def test_every_row_once_is_in_balance() -> None:
    assert output(COUNT, replace(COUNT, partition=4), rows=20).imbalance() is None
    assert output(rows=0).imbalance() is None


def test_rows_that_conform_doubled_or_lost_are_an_imbalance() -> None:
    for rows in (9, 11):
        assert output(COUNT, rows=rows).imbalance() == f"the snapshot has {rows} rows but 10 were conformed"


def test_each_partition_must_add_up_by_itself() -> None:
    """One partition's surplus is not another's loss: together these two would add up."""
    more, less = replace(COUNT, good=8), replace(COUNT, partition=4, good=6)
    assert (
        output(less, more, rows=20).imbalance()
        == "shop.orders[4] has 10 raw rows but 6 good, 2 quarantined and 1 duplicates"
    )
    assert (
        output(more, less, rows=20).imbalance()
        == "shop.orders[3] has 10 raw rows but 8 good, 2 quarantined and 1 duplicates"
    )
