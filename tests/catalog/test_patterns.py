"""A pattern that a contract accepts is one that DuckDB accepts."""

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lake_assets.catalog.patterns import pattern_problem

PIECES = st.sampled_from(
    ["a", "Z", "0", ".", "*", "+", "?", "|", "(", ")", "[", "]", "{", "}", "^", "$", "\\", "-", ",", ":", "=", "!", "<",
     ">", "P", "\\d", "\\w", "\\b", "\\A", "\\z", "\\Z", "\\Q", "\\E", "\\1", "\\x41", "\\u0041", "\\pL", "\\p{Greek}",
     "[:alpha:]", "[a-z]", "{2}", "{2,5}", "{1000}", "{1001}", "(?:", "(?i)", "(?=", "(?P<n>", "é", "\n", " ", "&&",
     "--", "~~", "[["]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@example(pattern="[[:alpha:]]")
@example(pattern="\\p{Nope}")
@example(pattern="(a{100}){100}")
@example(pattern="\\pL{1000}")
@given(pattern=st.lists(PIECES, max_size=8).map("".join))
def test_what_is_accepted_here_duckdb_accepts(pattern: str) -> None:
    if pattern_problem(pattern) is None:
        duckdb.execute("select regexp_full_match('abc', $1)", [pattern]).fetchone()


@pytest.mark.parametrize(
    "pattern",
    ["^[A-Z]{2}$", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
     r"^[^@\s]+@[^@\s]+$", r"\d{3}-\d{4}", r"(?:web|shop)\.[a-z]+", r"^\+?[0-9 ()/-]{5,20}$", r"\p{Lu}.*",
     "[[:upper:]]+", "(?i)abc", "a|b|", "[^a-z_]", r"[\w.\]-]+\$"],
)  # fmt: skip
def test_ordinary_patterns_are_accepted(pattern: str) -> None:
    assert pattern_problem(pattern) is None
    duckdb.execute("select regexp_full_match('abc', $1)", [pattern]).fetchone()


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", r"(a)\1", "(?P<n>a)(?P=n)", "a++", "a{1001}", "(a{100}){100}",
     r"\pL{1000}", r"\p{Nope}", "(?>a)", "(a", "*", "[a", r"\Z", "(?x)a", "a" * 1001],
)  # fmt: skip
def test_what_re2_has_not_is_refused(pattern: str) -> None:
    assert pattern_problem(pattern) is not None
