"""Conforms records without a broker: raw files in, rows out."""

from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import pytest

from lake_assets.catalog.accounting import WindowInput
from lake_assets.catalog.model import Asset
from lake_assets.conform.duckdb import conform
from tests.conform.records import ORDERS, Conformed, Record, write_raw

Conform = Callable[..., Conformed]


@pytest.fixture(scope="session")
def conform_records(tmp_path_factory: pytest.TempPathFactory) -> Conform:
    """Conforms records (or bare payloads) given window by window."""

    def run(
        windows: dict[str, Sequence[Record | bytes | None]] | Sequence[Record | bytes | None], asset: Asset = ORDERS
    ) -> Conformed:
        folder = tmp_path_factory.mktemp("conform")
        by_window = windows if isinstance(windows, dict) else {"2026-01-01": windows}
        inputs = []
        for number, (window, given) in enumerate(by_window.items()):
            records = [r if isinstance(r, Record) else Record(r) for r in given]
            write_raw(folder / f"{number}.parquet", records)
            inputs.append(WindowInput(window, (str(folder / f"{number}.parquet"),), len(records), 1))
        outputs = conform(asset, inputs, f"file://{folder}/out", folder, "run-1")
        good = [path for output in outputs for path in output.good_files]
        bad = [path for output in outputs for path in output.quarantine_files]
        return Conformed(outputs, _rows(good, "_partition, _offset"), _rows(bad, 'partition, "offset"'))

    return run


def _rows(paths: list[str], order: str) -> list[dict[str, Any]]:
    if not paths:
        return []
    with duckdb.connect() as session:
        session.execute("set timezone = 'UTC'")
        return session.execute(f"select * from read_parquet({paths}) order by {order}").to_arrow_table().to_pylist()
