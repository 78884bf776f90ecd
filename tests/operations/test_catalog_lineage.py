"""Lineage of mart columns, from compiled SQL down to fields of contracts and keys of their payloads."""

import re
from dataclasses import replace

import pytest

from lake_assets.operations.catalog_page.document import ColumnSource, JsonSource
from lake_assets.operations.catalog_page.figures import Figures
from lake_assets.operations.catalog_page.lineage import KnownTable, Tables, UnknownLineage
from lake_assets.operations.catalog_page.marts import read_marts
from tests.support.catalog_documents import manifest, marts_of, model, orders

ORDERS = KnownTable("lake", "orders_staging", "orders", ("order_id", "status", "amount", "at"))
CUSTOMERS = KnownTable("lake", "customers_staging", "customers", ("customer", "status", "country"))
ODD = KnownTable("lake", "odd.staging", 'o"dd', ("a.b", "größe", "select"))
FROM_ORDERS, FROM_CUSTOMERS = "orders_staging.orders.", "customers_staging.customers."


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select amount as a from lake.orders_staging.orders", {"a": {f"{FROM_ORDERS}amount"}}),
        (
            "with o as (select * from lake.orders_staging.orders) select amount from o",
            {"amount": {f"{FROM_ORDERS}amount"}},
        ),
        (
            "with o as (select *, row_number() over (partition by order_id order by at) as n from "
            "lake.orders_staging.orders), p as (select * from o where n = 1) select status, n from p",
            {"status": {f"{FROM_ORDERS}status"}, "n": {f"{FROM_ORDERS}order_id", f"{FROM_ORDERS}at"}},
        ),
        (
            "select country, o.status from lake.orders_staging.orders o "
            "join lake.customers_staging.customers c on o.order_id = c.customer",
            {"country": {f"{FROM_CUSTOMERS}country"}, "status": {f"{FROM_ORDERS}status"}},
        ),
        (
            "select coalesce(o.status, c.status) as status from lake.orders_staging.orders o "
            "full outer join lake.customers_staging.customers c on o.order_id = c.customer",
            {"status": {f"{FROM_ORDERS}status", f"{FROM_CUSTOMERS}status"}},
        ),
        (
            "select count(*) as n, sum(case when status = 'paid' then amount end) as paid, 1 as one "
            "from lake.orders_staging.orders group by all",
            {"n": set(), "paid": {f"{FROM_ORDERS}status", f"{FROM_ORDERS}amount"}, "one": set()},
        ),
        (
            "select status as x from lake.orders_staging.orders "
            "union all select country from lake.customers_staging.customers",
            {"x": {f"{FROM_ORDERS}status", f"{FROM_CUSTOMERS}country"}},
        ),
        (
            "select (select max(c.country) from lake.customers_staging.customers c where c.customer = o.order_id) as x "
            "from lake.orders_staging.orders o",
            {"x": {f"{FROM_CUSTOMERS}country"}},
        ),
        (
            'select "a.b" as "x.y", "größe", "select" from "lake"."odd.staging"."o""dd"',
            {
                "x.y": {'odd.staging.o"dd.a.b'},
                "größe": {'odd.staging.o"dd.größe'},
                "select": {'odd.staging.o"dd.select'},
            },
        ),
        ("select * from other.s.t", {"*": {"s.t.*"}}),
        ("select p from other.s.t join other.s.u on true", {"p": None}),
    ],
)  # fmt: skip
def test_column_has_the_sources_that_it_is_computed_from(query: str, expected: dict[str, set[str] | None]) -> None:
    columns = Tables([ORDERS, CUSTOMERS, ODD], "duckdb").column_sources(query)
    assert {
        name: None if sources is None else {f"{s.schema}.{s.table}.{s.column}" for s in sources}
        for name, sources in columns.items()
    } == expected


@pytest.mark.parametrize(
    ("dialect", "query"),
    [
        ("bigquery", "select safe_divide(amount, 2) as x, date(`at`) as d from `lake`.`orders_staging`.`orders`"),
        ("athena", 'select cast(amount as double) / 2 as x, "at" as d from "lake"."orders_staging"."orders"'),
    ],
)
def test_lineage_is_read_in_the_sql_of_the_clouds(dialect: str, query: str) -> None:
    columns = Tables([ORDERS], dialect).column_sources(query)
    assert {name: [source.column for source in sources or ()] for name, sources in columns.items()} == {
        "x": ["amount"],
        "d": ["at"],
    }


@pytest.mark.parametrize("query", ["select from where", "select 1 +", "drop table x"])
def test_query_that_cannot_be_analysed_is_reported(query: str) -> None:
    with pytest.raises(UnknownLineage, match="sqlglot cannot analyse"):
        Tables([ORDERS], "duckdb").column_sources(query)


def test_lineage_ends_at_the_payload_key_through_other_marts() -> None:
    asset = orders()
    total = replace(asset.field("amount"), source="Total, €")
    city = replace(asset.field("origin"), name="city", path=("customer", "city"))
    asset = replace(asset, fields=(*(f for f in asset.fields if f.name != "amount"), total, city))
    first = model(
        "first",
        "select order_id, amount as price, city from lake.orders_staging.orders",
        ["source.lake.orders"],
        ["order_id", "price", "city"],
    )
    second = model(
        "second", "select * , price * 2 as double from serving.a_data_mart.first", ["model.lake.first"],
        ["price", "city", "double"],
    )  # fmt: skip
    _, entry = marts_of([first, second], asset).entries
    through = ("a_data_mart.first",)
    price = (ColumnSource("field", "orders", "amount", JsonSource("key", ("Total, €",)), through),)
    assert {column.name: column.sources for column in entry.columns} == {
        "price": price,
        "double": price,
        "city": (ColumnSource("field", "orders", "city", JsonSource("path", ("customer", "city")), through),),
    }


def test_model_that_dbt_could_not_compile_stays_on_the_page() -> None:
    asset = orders()
    [entry] = marts_of([model("broken", None, ["source.lake.orders"], ["a"])], asset).entries
    assert (entry.assets, entry.columns[0].sources) == (("orders",), None)
    assert entry.lineage_problem == "dbt could not compile the model."


def test_mart_that_the_lake_does_not_build_is_named_and_left_out() -> None:
    known, unknown = orders(), orders(dataset="parcels")
    models = [
        model("kept", "select 1 as a", ["source.lake.orders"]),
        model("foreign", "select 1 as a", ["source.lake.parcels"]),
        model("behind", "select 1 as a", ["model.lake.foreign"]),
        model("direct", "select 1 as a", [], raw_code="select * from orders_staging.orders"),
        model("after", "select 1 as a", ["model.lake.direct"]),
    ]
    marts = read_marts(manifest(models, [known, unknown]), {"orders": known}, {}, Figures(), "duckdb")
    assert [entry.name for entry in marts.entries] == ["a_data_mart.kept"]
    named = [re.findall("model ([a-z]+)", note)[0] for note in marts.notes]
    assert sorted(named) == ["after", "behind", "direct", "foreign"]


def test_readers_of_assets_marts_and_metrics_are_listed() -> None:
    asset = orders()
    view = model("view", "select * from serving.metrics.orders_by_hour", [], ["n"])
    staged = model("stg_orders", "select * from lake.orders_staging.orders", ["source.lake.orders"])
    staged |= {"config": {"materialized": "ephemeral"}, "path": "staging/orders/stg_orders.sql"}
    first = model("first", "select amount from lake.orders_staging.orders", ["model.lake.stg_orders"])
    second = model("second", "select amount from serving.a_data_mart.first", ["model.lake.first"])
    marts = marts_of([view, staged, first, second], asset)
    assert marts.readers_of_asset("orders") == ["a_data_mart.first"]
    assert marts.readers_of_metric("orders_by_hour") == ["a_data_mart.view"]
    read = {entry.name: (entry.marts, entry.read_by) for entry in marts.entries}
    assert read["a_data_mart.first"] == ((), ("a_data_mart.second",))
    assert read["a_data_mart.second"] == (("a_data_mart.first",), ())
