"""A contract that crosses to a cluster as JSON is the same contract there."""

from decimal import Decimal
from pathlib import PurePath, PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake_assets.catalog.json_codec import from_json, to_json
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import CheckOutcome, PartitionCount, WindowInput, WindowOutput
from lake_assets.project import read_files
from lake_assets.settings import load_settings
from tests.support.conform_records import ORDERS

st.register_type_strategy(Decimal, st.decimals(allow_nan=False, allow_infinity=False))
st.register_type_strategy(PurePath, st.just(PurePosixPath("assets/orders.yaml")))


@pytest.mark.parametrize("kind", [Asset, WindowInput, WindowOutput, PartitionCount, CheckOutcome])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_was_written_is_read_back_equal(kind: type, data: st.DataObject) -> None:
    value = data.draw(st.from_type(kind))
    assert from_json(kind, to_json(value)) == value


def test_every_example_contract_is_read_back_equal() -> None:
    for asset in (ORDERS, *read_files(load_settings()).assets.values()):
        assert from_json(Asset, to_json(asset)) == asset


def test_what_is_not_of_the_type_is_refused() -> None:
    with pytest.raises((TypeError, KeyError, ValueError)):
        from_json(WindowInput, '{"window": 5, "paths": [], "rows": 1, "bytes": 1}')
    with pytest.raises((TypeError, KeyError, ValueError)):
        from_json(WindowInput, '{"window": "2026-01-01"}')
