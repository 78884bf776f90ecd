"""Queries of a warehouse have the same results in every cloud: quarantine reasons, staging rows, own queries."""

from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import duckdb
import pytest

from lake_assets.bucket import let_read
from lake_assets.catalog.model import Field, FieldType
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.duckdb import conform
from lake_assets.operations.adapters import warehouse_for
from lake_assets.settings import load_settings
from lake_assets.warehouse.results import QueryError
from tests.support.cloud_lakes import CLOUDS, CloudLake, variables
from tests.support.conform_records import ORDERS, Record, write_raw

GOOD = '{"order_id": "%s", "region": "north", "quantity": 3, "amount": "%s", "gift": true, "ordered_at": "%s"}'
BAD = '{"order_id": "b", "region": "east", "quantity": 99, "ordered_at": "2026-01-01T00:10:00Z"}'
WINDOWS = {
    "2026-01-01": [GOOD % ("a", "12.50", "2026-01-01T00:00:00Z"), GOOD % ("c", "0.10", "2026-01-01T23:59:59Z"), BAD],
    "2026-01-02": [GOOD % ("d", "1", "2026-01-02T00:00:00Z"), "\xff", BAD.replace("01-01", "01-02")],
}


@pytest.fixture(scope="module", params=CLOUDS)
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[CloudLake]:
    """Return a lake with two windows of orders: three good rows, two that break two rules each, and one unreadable."""
    at = tmp_path_factory.mktemp(request.param)
    with ExitStack() as stack:
        stack.enter_context(variables({"LAKE_HOME": str(at / "home")}))
        lake = stack.enter_context(CLOUDS[request.param](load_settings(), at))
        stack.enter_context(variables(lake.environment))
        inputs = [WindowInput(window, (str(at / f"{window}.raw"),), len(lines), 1) for window, lines in WINDOWS.items()]
        for window, lines in WINDOWS.items():
            noon = datetime.fromisoformat(window).replace(hour=12, tzinfo=UTC)
            first = noon.day * 100
            records = [Record(x.encode("latin-1"), offset=first + n, timestamp=noon) for n, x in enumerate(lines)]
            write_raw(at / f"{window}.raw", records)
        warehouse = warehouse_for(lake.settings)
        warehouse.ensure(ORDERS)
        warehouse.replace_windows(ORDERS, conform(ORDERS, inputs, lake.settings.conformed, at, "run", "file"))
        yield lake


def test_reasons_are_counted_by_rule_and_field_most_rows_first(cloud: CloudLake) -> None:
    found = warehouse_for(cloud.settings).reasons([ORDERS])
    assert [(r.asset, r.field, r.rows, r.windows, r.sample) for r in found[:2]] == [
        ("orders", "region", 2, 2, "east"),
        ("orders", "quantity", 2, 2, "99"),
    ] or [(r.field, r.rows) for r in found[:2]] == [("quantity", 2), ("region", 2)]
    assert [(r.field, r.rows, r.windows) for r in found[2:]] == [(None, 1, 1)]
    assert all(r.code and r.message for r in found)


def test_no_assets_have_no_reasons(cloud: CloudLake) -> None:
    assert warehouse_for(cloud.settings).reasons([]) == []


def staged(cloud: CloudLake, low: str, high: str, columns: tuple[str, ...]) -> list[tuple[object, ...]]:
    span = (datetime.fromisoformat(low).replace(tzinfo=UTC), datetime.fromisoformat(high).replace(tzinfo=UTC))
    with duckdb.connect() as session:
        let_read(session, cloud.settings.bucket)
        session.execute("set timezone = 'UTC'")
        relation = warehouse_for(cloud.settings).staging(session, ORDERS, columns, *span)
        chosen = ", ".join(columns)
        within = f"ordered_at >= '{low}' and ordered_at < '{high}'"
        return session.execute(f"select {chosen} from {relation} where {within} order by _offset").fetchall()


def test_staging_rows_of_a_span_can_be_read_by_duckdb(cloud: CloudLake) -> None:
    columns = ("order_id", "quantity", "amount", "gift", "ordered_at", "_kafka_partition", "_offset")
    at = datetime(2026, 1, 2, tzinfo=UTC)
    assert staged(cloud, "2026-01-02", "2026-01-03", columns) == [("d", 3, Decimal("1.00"), True, at, 0, 200)]
    assert len(staged(cloud, "2026-01-01T12:00:00", "2026-01-02T00:00:01", columns)) == 2


def test_a_span_without_windows_has_no_staging_rows(cloud: CloudLake) -> None:
    assert staged(cloud, "2025-01-02", "2025-01-04", ("order_id", "ordered_at", "_offset")) == []


def test_a_column_that_is_newer_than_the_rows_is_null_in_them(cloud: CloudLake) -> None:
    newer = replace(ORDERS, fields=(*ORDERS.fields, Field("tip", FieldType("decimal", 9, 2))))
    warehouse = warehouse_for(cloud.settings)
    warehouse.ensure(newer)
    with duckdb.connect() as session:
        let_read(session, cloud.settings.bucket)
        columns = ("order_id", "ordered_at", "tip")
        span = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
        relation = warehouse.staging(session, newer, columns, *span)
        assert session.execute(f"select count(*), count(tip) from {relation}").fetchall() == [(3, 0)]


def test_an_engineer_is_answered_in_values_of_the_columns_types(cloud: CloudLake) -> None:
    warehouse = warehouse_for(cloud.settings)
    columns = "order_id, quantity, amount, gift, weight"
    found = warehouse.query(f"select {columns} from orders_staging.orders order by order_id", None)
    assert list(found.columns) == columns.split(", ")
    assert found.rows[0] == ["a", 3, Decimal("12.50"), True, None]
    assert [row[0] for row in found.rows] == ["a", "c", "d"]
    assert not found.more


def test_more_rows_than_asked_for_are_mentioned_and_not_given(cloud: CloudLake) -> None:
    warehouse = warehouse_for(cloud.settings)
    query = "select order_id from orders_staging.orders order by order_id"
    assert (warehouse.query(query, 2).rows, warehouse.query(query, 2).more) == ([["a"], ["c"]], True)
    assert (len(warehouse.query(query, 3).rows), warehouse.query(query, 3).more) == (3, False)


@pytest.mark.parametrize(
    "query",
    [
        "delete from orders_staging.orders where true",
        "drop table orders_staging.orders",
        "-- select\ndelete from orders_staging.orders where true",
        "create table orders_staging.mine as select 1 as x",
    ],
)
def test_an_engineers_query_cannot_change_anything(cloud: CloudLake, query: str) -> None:
    warehouse = warehouse_for(cloud.settings)
    with pytest.raises(QueryError, match="queries are read-only"):
        warehouse.query(query, None)
    assert warehouse.window_rows(ORDERS) == {"2026-01-01": (2, 1), "2026-01-02": (1, 2)}


def test_a_query_that_is_refused_is_reported_in_the_warehouses_words(cloud: CloudLake) -> None:
    with pytest.raises(QueryError, match="nothing_like_it"):
        warehouse_for(cloud.settings).query("select nothing_like_it from orders_staging.orders", None)
