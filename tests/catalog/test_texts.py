"""A text that cannot be used leaves out itself only, and what is applied of it stays."""

from pathlib import PurePath

import pytest

from lake_assets.catalog.texts import NOTHING, Catalog, read_texts
from tests.support.metric_examples import CONTRACT, METRIC

ORDERS, RETURNS, SALES = PurePath("assets/orders.yaml"), PurePath("assets/returns.yaml"), PurePath("metrics/sales.yaml")
OTHER = CONTRACT.replace("orders\n", "returns\n").replace("test.orders", "test.returns")
BROKEN = CONTRACT.replace("logicalType: string", "logicalTyp: string", 1)


def applied(contracts: dict[PurePath, str], metrics: dict[PurePath, str] | None = None) -> Catalog:
    return read_texts(
        {PurePath("applied") / path: text for path, text in contracts.items()},
        {PurePath("applied") / path: text for path, text in (metrics or {}).items()},
    )


def test_a_broken_contract_leaves_the_others_and_is_named() -> None:
    read = read_texts({ORDERS: BROKEN, RETURNS: OTHER}, {})
    assert list(read.assets) == ["returns"]
    assert [problem.file for problem in read.problems] == [ORDERS]
    assert read.left_out == {ORDERS: "orders"}


def test_of_a_broken_file_the_applied_contract_stays() -> None:
    before = applied({ORDERS: CONTRACT})
    read = read_texts({ORDERS: BROKEN, RETURNS: OTHER}, {}, before)
    assert read.assets["orders"] is before.assets["orders"]
    assert read.text(read.assets["orders"]) == CONTRACT
    assert read.without_file(before) == []


def test_an_applied_contract_without_a_file_stays_and_is_named() -> None:
    before = applied({ORDERS: CONTRACT, RETURNS: OTHER})
    read = read_texts({RETURNS: OTHER}, {}, before)
    assert list(read.assets) == ["orders", "returns"]
    assert read.without_file(before) == ["orders"]


def test_a_changed_file_takes_the_place_of_what_is_applied() -> None:
    before = applied({ORDERS: CONTRACT})
    read = read_texts({ORDERS: CONTRACT.replace("1.0.0", "1.1.0")}, {}, before)
    assert read.assets["orders"].version == "1.1.0"


def test_a_text_that_is_applied_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = applied({ORDERS: CONTRACT, RETURNS: OTHER})
    monkeypatch.setattr("lake_assets.catalog.texts.parse_contract", None)
    read = read_texts({ORDERS: CONTRACT, RETURNS: OTHER}, {}, before)
    assert [asset.path for asset in read.assets.values()] == [ORDERS, RETURNS]


def test_of_two_contracts_for_one_topic_the_applied_one_stays() -> None:
    before = applied({RETURNS: OTHER})
    first = CONTRACT.replace("{eventTime", "{topic: test.returns, eventTime")
    for files in ({ORDERS: first, RETURNS: OTHER}, {ORDERS: first}):
        read = read_texts(files, {}, before)
        assert list(read.assets) == ["returns"]
        assert [problem.file for problem in read.problems] == [ORDERS]


def test_an_applied_metric_survives_a_broken_file_but_not_a_missing_one() -> None:
    before = applied({ORDERS: CONTRACT}, {SALES: METRIC})
    broken = METRIC.replace("window: 1m", "window: 7m")
    assert list(read_texts({ORDERS: CONTRACT}, {SALES: broken}, before).metrics) == ["orders_by_region"]
    assert list(read_texts({ORDERS: CONTRACT}, {}, before).metrics) == []
    assert list(read_texts({ORDERS: CONTRACT}, {SALES: broken}, NOTHING).metrics) == []


def test_a_change_that_ends_an_applied_metric_is_refused() -> None:
    before = applied({ORDERS: CONTRACT}, {SALES: METRIC})
    changed = CONTRACT.replace("{name: region,", "{name: place,")
    read = read_texts({ORDERS: changed, RETURNS: OTHER}, {SALES: METRIC}, before)
    assert read.assets["orders"] is before.assets["orders"]
    assert (list(read.assets), list(read.metrics)) == (["orders", "returns"], ["orders_by_region"])
    (problem,) = read.problems
    assert problem.file == ORDERS
    assert "metric orders_by_region could not be computed any more: 'region' is not a field" in problem.message


def test_a_refused_text_leaves_out_itself_only_with_its_reason() -> None:
    before = applied({ORDERS: CONTRACT}, {SALES: METRIC})
    newer, other = CONTRACT.replace("1.0.0", "1.1.0"), METRIC.replace("window: 1m", "window: 2m")
    read = read_texts({ORDERS: newer, RETURNS: OTHER}, {SALES: other}, before, refused={ORDERS: "no.", SALES: "nor."})
    assert (read.assets["orders"].version, list(read.assets)) == ("1.0.0", ["orders", "returns"])
    assert read.text(read.metrics["orders_by_region"]) == METRIC
    assert {problem.file: problem.message for problem in read.problems} == {ORDERS: "no.", SALES: "nor."}
    assert read.left_out == {ORDERS: "orders", SALES: "orders_by_region"}


def test_the_metric_of_a_broken_contract_is_left_out_with_it() -> None:
    read = read_texts({ORDERS: BROKEN, RETURNS: OTHER}, {SALES: METRIC})
    assert (list(read.assets), list(read.metrics)) == (["returns"], [])
    assert {problem.file for problem in read.problems} == {ORDERS, SALES}


@pytest.mark.parametrize(
    ("text", "name"),
    [("name: a\nversion: 2.1.0\n: ", "a_v2"), ("name: 'a'\n{", "a"), ("version: 3.0.0\n", "orders"), ("\t", "orders")],
)
def test_a_broken_text_is_known_by_its_name_or_its_files(text: str, name: str) -> None:
    assert read_texts({ORDERS: text}, {}).left_out == {ORDERS: name}
