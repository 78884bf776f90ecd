"""A file that its owner did not make for a lake goes through, or is refused in one sentence with the remedy."""

import pytest

from lake_assets.errors import LakeError
from lake_assets.settings import PROJECT
from tests.support.strangers.corpus import CORPUS
from tests.support.strangers.pipeline import page, through, truth, wrong
from tests.support.strangers.plain_reader import read_rows, sum_of
from tests.support.strangers.shape import Shape

WHOLE = [shape for shape in CORPUS if not shape.refused]
REFUSED = [shape for shape in CORPUS if shape.refused]


@pytest.mark.parametrize("shape", WHOLE, ids=[shape.name for shape in WHOLE])
def test_each_row_is_good_or_rightly_in_quarantine_and_sums_agree(shape: Shape) -> None:
    outcome, rows = through(shape), read_rows(shape)
    assert (len(outcome.rows), outcome.quarantined) == (len(rows), shape.bad)
    good = [row for row in outcome.rows if row["_errors"] is None]
    plain = [row for at, row in enumerate(rows) if at not in shape.bad]
    mistaken = wrong(shape, outcome.inferred)
    for one in outcome.asset.fields:
        if one.type.name in ("integer", "decimal", "double") and one.name not in mistaken:
            ours, theirs = sum(row[one.name] or 0 for row in good), sum_of(plain, one.payload_key, shape)
            assert float(ours) == pytest.approx(float(theirs), rel=1e-9), one.name


@pytest.mark.parametrize("shape", REFUSED, ids=[shape.name for shape in REFUSED])
def test_a_refusal_has_the_remedy(shape: Shape) -> None:
    with pytest.raises(LakeError) as caught:
        through(shape)
    assert str(caught.value).endswith(shape.refused)


def test_a_number_that_rows_share_is_no_key() -> None:
    shape = next(shape for shape in CORPUS if shape.file == "retail.csv")
    assert through(shape).asset.key == ()


def test_names_are_unique_and_each_file_has_its_truth() -> None:
    assert list(truth()) == [shape.name for shape in WHOLE]
    assert len({shape.name for shape in CORPUS}) == len(CORPUS)


def test_the_page_is_what_comes_out() -> None:
    assert (PROJECT / "docs" / "strangers.md").read_text("utf-8") == page()
