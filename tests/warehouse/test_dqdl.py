"""A contract's rules in Amazon's language."""

from dataclasses import replace
from decimal import Decimal

import pytest

from lake_assets.catalog.model import Asset, Check, Field, FieldType, Operator
from lake_assets.compile.dqdl import ruleset
from tests.support.conform_records import ORDERS

TEXT = FieldType("string")


def rules(asset: Asset) -> list[str]:
    first, *lines, last = ruleset(asset).splitlines()
    assert (first, last) == ("Rules = [", "]")
    assert all(line.endswith(",") for line in lines[:-1])
    return [line.strip().removesuffix(",") for line in lines]


def of(*fields: Field, checks: tuple[Check, ...] = ()) -> list[str]:
    found = rules(replace(ORDERS, fields=(Field("order_id", TEXT), *fields), checks=checks))
    assert found[0] == 'IsComplete "_window"'
    return found[1:]


def test_a_required_field_is_checked_for_presence_and_for_its_rules() -> None:
    amount = Field(
        "amount", FieldType("decimal", 9, 2), required=True, minimum=Decimal("0.50"), maximum=Decimal("1E+3")
    )
    name = Field("name", TEXT, required=True, min_length=2, max_length=9, enum=("web", 'a "b" \\ c'))
    assert of(amount, name) == [
        'IsComplete "amount"',
        'ColumnValues "amount" >= 0.50',
        'ColumnValues "amount" <= 1000',
        'IsComplete "name"',
        r'ColumnValues "name" in ["web", "a \"b\" \\ c"]',
        'ColumnLength "name" >= 2',
        'ColumnLength "name" <= 9',
    ]


def test_a_row_without_a_value_that_may_be_missing_breaks_no_rule() -> None:
    field = Field("name", TEXT, min_length=2, max_length=9, enum=("a",))
    assert of(field) == [
        '(ColumnValues "name" in ["a"]) or (ColumnValues "name" = NULL)',
        '(ColumnLength "name" >= 2) or (ColumnValues "name" = NULL)',
        'ColumnLength "name" <= 9',
    ]


def test_a_key_is_one_row_in_a_window_when_all_of_it_must_be_there() -> None:
    fields = (Field("a", TEXT, required=True), Field("b", TEXT, required=True))
    assert rules(replace(ORDERS, fields=fields, key=("a", "b")))[1] == 'IsPrimaryKey "_window" "a" "b"'
    optional = (fields[0], replace(fields[1], required=False))
    assert not any("IsPrimaryKey" in rule for rule in rules(replace(ORDERS, fields=optional, key=("a", "b"))))


@pytest.mark.parametrize(
    ("operator", "bounds", "rule"),
    [
        (">", (1,), 'CustomSql "{}" > 1'),
        ("!=", (1,), 'CustomSql "{}" != 1'),
        ("between", (1, 5), '(CustomSql "{}" >= 1) and (CustomSql "{}" <= 5)'),
        ("not between", (1, 5), '(CustomSql "{}" < 1) or (CustomSql "{}" > 5)'),
    ],
)
def test_a_check_reads_the_table_under_the_name_it_has_there(
    operator: Operator, bounds: tuple[int, ...], rule: str
) -> None:
    query = "select count(*)\nfrom conformed where name <> 'conformed'"
    check = Check("some", query, operator, tuple(map(Decimal, bounds)))
    there = "select count(*) from primary where name <> 'conformed'"
    assert of(checks=(check,)) == [rule.replace("{}", there)]
