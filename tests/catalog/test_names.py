"""Field names work without quotes everywhere, and any header has one."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.catalog.names import RESERVED, field_name, name_problem


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Order ID", "order_id"),
        ("orderId", "order_id"),
        ("HTTPStatus", "http_status"),
        ("Größe (m²)", "grosse_m2"),
        ("Straße", "strasse"),
        ("  total €  ", "total"),
        ("user", "user_"),
        ("2nd try", "n_2nd_try"),
        ("_id", "id"),
        ("日付", "field"),
        ("", "field"),
        ("a" * 100, "a" * 63),
    ],
)
def test_a_header_becomes_a_readable_name(header: str, name: str) -> None:
    assert field_name(header) == name


@given(header=st.text(max_size=200))
def test_any_header_becomes_a_legal_name_and_a_legal_name_stays(header: str) -> None:
    name = field_name(header)
    assert name_problem(name) is None
    assert field_name(name) == name


def test_no_word_that_duckdb_reserves_is_a_name() -> None:
    words = duckdb.execute("select keyword_name from duckdb_keywords() where keyword_category = 'reserved'").fetchall()
    assert {word for (word,) in words} <= RESERVED


def test_every_word_that_is_not_reserved_is_a_column_without_quotes() -> None:
    connection = duckdb.connect()
    words = connection.execute("select keyword_name from duckdb_keywords()").fetchall()
    for (word,) in words:
        if name_problem(word) is None:
            connection.execute(f"create or replace temp table t ({word} int)")
            connection.execute(f"select {word}, t.{word} from t where {word} > 1 group by {word} order by {word}")


def test_common_columns_are_not_reserved() -> None:
    for word in ("date", "timestamp", "time", "name", "type", "value", "status", "region", "count", "year", "id"):
        assert name_problem(word) is None
