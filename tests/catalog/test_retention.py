"""Retention of each element is in the contract, once, and nothing is guessed."""

from datetime import timedelta

import pytest

from lake_assets.catalog.compare import compare
from lake_assets.catalog.model import Retention
from tests.support.contracts import changed, parse, problems

SLA = "slaProperties: [{property: freshness, value: 2, unit: h}]"


def retention(*kept: str) -> str:
    """The sound contract with these elements kept, each as `raw, value: 90, unit: d`."""
    listed = ", ".join(f"{{property: retention, element: {one}}}" for one in kept)
    return changed(SLA, f"slaProperties: [{listed}]")


def test_elements_are_kept_as_the_contract_sets_and_by_default_for_ever() -> None:
    text = retention("raw, value: 90, unit: d", "quarantine, value: 36, unit: h")
    assert parse(text).retention == Retention(raw=timedelta(days=90), quarantine=timedelta(hours=36))
    assert parse().retention == Retention()


def test_another_retention_changes_no_data_of_the_asset() -> None:
    change = compare(parse(), parse(retention("raw, value: 90, unit: d")))
    assert change.kind == "none"
    assert "retention changes from for ever to raw 90 days" in " ".join(d.sentence for d in change.differences)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (changed(SLA, "slaProperties: [{property: retention, value: 2, unit: d}]"), "'element' is missing"),
        (retention("stagng, value: 2, unit: d"), "Did you mean 'staging'?"),
        (retention("raw, value: 0, unit: d"), "slaProperties[0].value"),
        (retention("raw, value: 2, unit: y"), "slaProperties[0].unit"),
        (retention("raw, value: 2, unit: d", "raw, value: 3, unit: d"), "'retention of raw' is given twice"),
        (changed("value: 2, unit: h}", "value: 2, unit: h, element: raw}"), "slaProperties[0].element"),
    ],
)
def test_a_retention_that_cannot_be_meant_is_refused(text: str, sentence: str) -> None:
    assert sentence in " ".join(problems(text))
