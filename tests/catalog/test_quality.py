"""Quality entries count what they declare, and an sql check reads the window's good rows and nothing else."""

from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.catalog.model import Check
from lake_assets.catalog.quality import Column, is_enum, read_check
from lake_assets.catalog.queries import query_problem

FIELDS = {"id": "string", "origin": "string"}


def value_of(check: Check, rows: list[tuple[str | None, str | None]]) -> float:
    """Return the result of a check's query over rows of (id, origin)."""
    connection = duckdb.connect()
    connection.execute("create table conformed (id varchar, origin varchar)")
    if rows:
        connection.executemany("insert into conformed values (?, ?)", rows)
    (value,) = connection.execute(check.query).fetchone() or (None,)
    assert value is not None
    return float(value)


def library_check(item: dict[str, Any], field: str | None) -> Check:
    def report(path: object, message: str) -> None:
        raise AssertionError(message)

    return read_check({"mustBe": 0, **item}, Column(field, FIELDS[field]) if field else None, FIELDS, report)


ROWS = [("1", "web"), ("1", None), ("2", ""), ("3", "wbe"), ("4", "O'Neil"), (None, "web"), (None, "web"), ("5", "n/a")]


@pytest.mark.parametrize(
    ("field", "item", "rows", "percent"),
    [
        ("origin", {"metric": "nullValues"}, 1, 12.5),
        ("origin", {"metric": "missingValues"}, 2, 25),
        ("origin", {"metric": "missingValues", "arguments": {"missingValues": ["", "n/a"]}}, 2, 25),
        ("origin", {"metric": "missingValues", "arguments": {"missingValues": [None]}}, 1, 12.5),
        ("origin", {"metric": "invalidValues", "arguments": {"validValues": ["web", "", "O'Neil"]}}, 2, 25),
        ("id", {"metric": "duplicateValues"}, 1, 12.5),
        (None, {"metric": "duplicateValues", "arguments": {"properties": ["id"]}}, 1, 12.5),
        (None, {"metric": "duplicateValues", "arguments": {"properties": ["id", "origin"]}}, 1, 12.5),
        (None, {"metric": "rowCount"}, 8, None),
    ],
)
def test_a_library_metric_counts_rows_or_percent(
    field: str | None, item: dict[str, Any], rows: int, percent: float | None
) -> None:
    assert value_of(library_check(item, field), ROWS) == rows
    assert value_of(library_check(item, field), []) == 0
    if percent is not None:
        check = library_check({**item, "unit": "percent"}, field)
        assert value_of(check, ROWS) == percent
        assert value_of(check, []) == 0


@pytest.mark.parametrize(
    ("operator", "bound", "expected", "bounds"),
    [
        ("mustBe", 3, "=", (3,)),
        ("mustNotBe", 3, "!=", (3,)),
        ("mustBeLessThan", 3, "<", (3,)),
        ("mustBeLessOrEqualTo", 3, "<=", (3,)),
        ("mustBeGreaterThan", 3, ">", (3,)),
        ("mustBeGreaterOrEqualTo", 3, ">=", (3,)),
        ("mustBeBetween", [1, Decimal("2.5")], "between", (1, Decimal("2.5"))),
        ("mustNotBeBetween", [1, 2], "not between", (1, 2)),
    ],
)
def test_every_operator_of_the_standard_has_its_own(
    operator: str, bound: object, expected: str, bounds: tuple[object, ...]
) -> None:
    check = read_check({"metric": "rowCount", operator: bound}, None, FIELDS, lambda *_: None)
    assert (check.operator, check.bounds, check.name, check.blocking) == (expected, bounds, "row_count", True)


def test_only_a_blocking_list_of_all_valid_values_is_a_row_rule() -> None:
    rule = {"metric": "invalidValues", "arguments": {"validValues": ["web"]}, "mustBe": 0}
    assert is_enum(rule)
    assert is_enum({**rule, "severity": "error"})
    assert not is_enum({**rule, "severity": "warning"})
    assert not is_enum({**rule, "mustBe": 1})
    assert not is_enum({"metric": "invalidValues", "arguments": {"validValues": ["web"]}, "mustBeLessThan": 5})


@pytest.mark.parametrize(
    "query",
    [
        "select count(*) from conformed",
        "select count(*) from conformed where amount > 1 and note <> 'from orders, x'",
        "with bad as (select * from conformed where x < 0), worse as (select 1 from bad) select count(*) from worse",
        "select count(*) from conformed a join conformed b on a.id = b.id and a.x in (1, 2), conformed c",
        "select max(extract(year from created_at)), 1 from conformed -- from orders\n where x is distinct from y",
        "select count(*) from (select id, count(*) as n from conformed group by id, x having count(*) > 1)",
        "select count(*) from conformed where id in (select id from conformed group by id, x)",
        "SELECT sum(x) FROM Conformed ORDER BY 1, 2",
    ],
)
def test_a_query_over_the_good_rows_is_accepted(query: str) -> None:
    assert query_problem(query) is None


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("select 1", "must read 'conformed'"),
        ("delete from conformed", "one select"),
        ("", "one select"),
        ("select count(*) from conformed; drop table x", "remove the semicolon"),
        ("select count(*) from orders", "orders is not known"),
        ("select count(*) from conformed, orders", "orders is not known"),
        ("select count(*) from conformed join orders using (id)", "orders is not known"),
        ("select count(*) from conformed where id in (select id from orders)", "orders is not known"),
        ("select count(*) from read_csv('/etc/passwd'), conformed", "read_csv is not known"),
        ("select count(*) from '/etc/passwd', conformed", "is not known"),
        ('select count(*) from "orders", conformed', "is not known"),
        ("select count(*) from lake.main.orders, conformed", "lake.main is not known"),
        ("select count(*) from conformed.orders", "conformed.orders is not known"),
        ("select count(*) from conformed where (x", "parentheses"),
        ("select * from (conformed cross join orders)", "orders is not known"),
    ],
)
def test_a_query_over_anything_else_is_refused(query: str, sentence: str) -> None:
    assert sentence in (query_problem(query) or "accepted")


@given(query=st.text(max_size=60))
def test_any_text_is_a_query_or_is_refused_with_a_sentence(query: str) -> None:
    problem = query_problem(query)
    assert problem is None or problem.endswith(".")
