"""Readers that a breaking change affects: models behind the table, at any depth, and metrics, by their fields."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePath

import pytest

from lake_assets.catalog.metric import Filter, Group, Measure, Metric
from lake_assets.catalog.model import FieldType
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.texts import Catalog
from lake_assets.operations.downstream import readers
from lake_assets.operations.wanted import BreakingChange, contract_change
from lake_assets.project import read_files
from lake_assets.settings import load_settings
from tests.support.conform_records import ORDERS


def model(schema: str, name: str, code: str) -> dict[str, str]:
    return {"unique_id": f"model.lake.{name}", "schema": schema, "name": name, "raw_code": code}


SOURCE, STAGED = "source.lake.orders_staging.orders", "model.lake.stg_orders"
MANIFEST = {
    "sources": {
        SOURCE: {"schema": "orders_staging", "name": "orders"},
        "source.lake.leads_staging.leads": {"schema": "leads_staging", "name": "leads"},
    },
    "nodes": {
        STAGED: model("staging", "stg_orders", "select amount, region from orders"),
        "model.lake.sales": model("sales_data_mart", "sales", "select region, sum(amount) as total from stg_orders"),
        "model.lake.totals": model("sales_data_mart", "totals", "select sum(total) from sales"),
        "model.lake.funnel": model("funnel_data_mart", "funnel", "select amount from stg_leads"),
    },
    "child_map": {
        SOURCE: [STAGED],
        STAGED: ["model.lake.sales", "test.lake.unique_orders"],
        "model.lake.sales": ["model.lake.totals"],
        "source.lake.leads_staging.leads": ["model.lake.funnel"],
    },
}
METRICS = [
    Metric(
        name, "1.0.0", "", (), source, (Group("region", FieldType("string")),), timedelta(minutes=1), timedelta(0),
        (Measure("revenue", "sum", "", "amount", FieldType("decimal", 12, 2)),), (Filter("code", ("A1",)),),
    )
    for name, source in (("by_region", "orders"), ("others", "leads"))
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"amount"}, ["model sales_data_mart.sales (amount)", "metric by_region (amount)"]),
        ({"region", "amount"}, ["model sales_data_mart.sales (amount, region)", "metric by_region (amount, region)"]),
        ({"code"}, ["metric by_region (code)"]),
        ({"total"}, ["model sales_data_mart.sales (total)", "model sales_data_mart.totals (total)"]),
        ({"mount"}, []),
        (set(), ["model sales_data_mart.sales", "model sales_data_mart.totals", "metric by_region"]),
    ],
)
def test_readers_are_reported_with_the_fields_that_they_name(fields: set[str], found: list[str]) -> None:
    assert readers(ORDERS, fields, MANIFEST, METRICS) == found


def test_a_refused_change_names_who_reads_the_field_in_this_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    settings = load_settings()
    applied = read_files(settings)
    sales = applied.assets["sales"]
    left = tuple(field for field in sales.fields if field.name != "region")
    wanted = Catalog({**applied.assets, "sales": replace(sales, fields=left)})
    with pytest.raises(BreakingChange) as caught:
        contract_change(settings, wanted, applied, "sales")
    assert str(caught.value).endswith(
        "It is read by model sales_data_mart.sales (region), metric sales_by_region (region)."
    )
    # Empty tables may change in any way, but not while something reads them.
    with pytest.raises(BreakingChange):
        contract_change(settings, wanted, applied, "sales", {"sales"})
    text = applied.text(applied.assets["leads"]).replace("leads", "unread")
    old = parse_contract(text, PurePath("unread.yaml"))
    before = Catalog({**applied.assets, "unread": old}, applied.metrics, {**applied.texts, old.path: text})
    changed = Catalog({**applied.assets, "unread": replace(old, fields=old.fields[:-1], checks=(), key=())})
    with pytest.raises(BreakingChange, match="unread: "):
        contract_change(settings, changed, before, "unread")
    assert contract_change(settings, changed, before, "unread", {"unread"}).allowed
    drafted = Catalog({**applied.assets, "sales": replace(sales, status="draft")})
    with pytest.raises(BreakingChange, match=r"sales cannot become a draft, because it is read by model .*metric"):
        contract_change(settings, drafted, applied, "sales")
