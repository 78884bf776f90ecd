"""The major versions of a dataset, found by name among other datasets."""

from dataclasses import replace

from lake_assets.catalog.versions import applied_versions, by_dataset
from tests.support.contracts import CONTRACT, changed, parse


def named(name: str, version: str) -> str:
    text = changed("version: 1.0.0", f"version: {version}")
    assert "name: orders\n" in text
    return text.replace("name: orders\n", f"name: {name}\n")


def test_versions_are_ordered_by_number_not_by_name() -> None:
    contracts = {
        "orders_v10": named("orders", "10.0.0"),
        "orders_v2": named("orders", "2.1.0"),
        "orders": CONTRACT,
    }
    assert [asset.version for asset in applied_versions(contracts, "orders")] == ["1.0.0", "2.1.0", "10.0.0"]


def test_dataset_whose_name_begins_like_a_version_is_another() -> None:
    contracts = {"orders_vip": named("orders_vip", "1.0.0"), "orders": CONTRACT, "returns": named("returns", "1.0.0")}
    assert [asset.dataset for asset in applied_versions(contracts, "orders")] == ["orders"]
    assert [asset.dataset for asset in applied_versions(contracts, "orders_vip")] == ["orders_vip"]


def test_assets_are_grouped_by_dataset_oldest_version_first() -> None:
    orders = parse()
    newer, other = replace(orders, version="10.0.0"), replace(orders, dataset="returns")
    middle = replace(orders, version="2.0.0")
    assert by_dataset([newer, other, orders, middle]) == {"orders": [orders, middle, newer], "returns": [other]}
