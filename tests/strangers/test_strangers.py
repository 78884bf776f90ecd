"""A file that its owner did not make for a lake goes through, or is refused in one sentence that says what to do."""

from pathlib import Path

import pytest

from lake_assets.errors import LakeError
from lake_assets.settings import PROJECT
from tests.strangers.shapes import ROWS, SHAPES, Shape
from tests.strangers.through import sums, table, through

WHOLE = [shape for shape in SHAPES if not shape.refused]


@pytest.mark.parametrize("shape", WHOLE, ids=[shape.name for shape in WHOLE])
def test_each_row_is_accounted_for_and_each_sum_is_the_files(shape: Shape, tmp_path: Path) -> None:
    outcome = through(shape, tmp_path)
    assert (outcome.asset.event_time or "sent") == shape.event_time
    assert (len(outcome.rows), outcome.quarantined) == (ROWS, shape.quarantined)
    assert all(row["_extra"] is None for row in outcome.rows if row["_errors"] is None)
    for name, (ours, plain) in sums(outcome).items():
        assert abs(ours - plain) <= (abs(plain) + 1) / 10**9, name


@pytest.mark.parametrize(
    "shape", [shape for shape in SHAPES if shape.refused], ids=[shape.name for shape in SHAPES if shape.refused]
)
def test_what_is_refused_is_told_what_to_do(shape: Shape, tmp_path: Path) -> None:
    with pytest.raises(LakeError) as caught:
        through(shape, tmp_path)
    assert str(caught.value).endswith(shape.refused)


def test_a_number_that_rows_share_is_no_key(tmp_path: Path) -> None:
    shape = next(shape for shape in SHAPES if shape.file == "retail.csv")
    assert through(shape, tmp_path).asset.key == ()


def test_the_table_is_what_comes_out() -> None:
    assert (PROJECT / "docs" / "strangers.md").read_text("utf-8") == table()
