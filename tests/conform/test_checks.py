"""A contract's checks at their bounds, and unknown fields of a window that was made in parts."""

from collections.abc import Generator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from lake_assets.catalog.model import Check, Operator
from lake_assets.catalog.queries import query_problem
from lake_assets.catalog.window_results import PartitionCount, UnknownField
from lake_assets.compile.conform import INNER_PAD, MOST_UNKNOWN
from lake_assets.conform.tokens import let_tokenise, make_token_key
from lake_assets.conform.write_windows import WindowPart, _locked_session, judge_checks, merge_parts
from lake_assets.duckdb_session import duckdb_session
from lake_assets.errors import LakeError
from tests.support.conform_records import ORDERS


@pytest.mark.parametrize(
    ("operator", "bounds", "passing"),
    [
        ("=", (2,), {2}),
        ("!=", (2,), {1, 3, 4}),
        ("<", (2,), {1}),
        ("<=", (2,), {1, 2}),
        (">", (2,), {3, 4}),
        (">=", (2,), {2, 3, 4}),
        ("between", (2, 3), {2, 3}),
        ("not between", (2, 3), {1, 4}),
    ],
)
def test_a_check_passes_up_to_its_bounds(operator: Operator, bounds: tuple[int, ...], passing: set[int]) -> None:
    def passes(value: int) -> bool:
        check = Check("some", f"select {value}", operator, tuple(map(Decimal, bounds)))
        with duckdb.connect() as session:
            [outcome] = judge_checks(session, replace(ORDERS, checks=(check,)), ())
        return outcome.passed

    assert {value for value in (1, 2, 3, 4) if passes(value)} == passing


def test_a_check_without_a_value_fails() -> None:
    check = Check("some", "select null", "=", (Decimal(0),))
    with duckdb.connect() as session:
        [outcome] = judge_checks(session, replace(ORDERS, checks=(check,)), ())
    assert (outcome.value, outcome.passed) == (None, False)


def part(low: int, high: int, *unknown: UnknownField) -> WindowPart:
    count = PartitionCount("t", 0, 10, 7, 2, 1, 1, low, high)
    return WindowPart("2026-01-01", (count, replace(count, partition=1)), (f"{low}.good",), (f"{low}.bad",), unknown)


def test_parts_of_a_window_are_added_up_by_partition() -> None:
    whole = merge_parts([part(5, 9), part(0, 4)])["2026-01-01"]
    counts = PartitionCount("t", 0, 20, 14, 4, 2, 2, 0, 9)
    assert whole.partitions == (counts, replace(counts, partition=1))
    assert (whole.good_files, whole.quarantine_files) == (("0.good", "5.good"), ("0.bad", "5.bad"))


def test_of_unknown_fields_in_parts_the_most_frequent_are_kept() -> None:
    rare = [UnknownField(f"rare{number:03}", "string", 1) for number in range(MOST_UNKNOWN)]
    often = UnknownField("often", "string", 3)
    whole = merge_parts([part(0, 4, *rare, often), part(5, 9, often)])["2026-01-01"]
    assert len(whole.unknown) == MOST_UNKNOWN
    assert UnknownField("often", "string", 6) in whole.unknown
    assert rare[-1] not in whole.unknown


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[duckdb.DuckDBPyConnection]:
    """A session that has the token key, as one that conforms an asset with tokens."""
    monkeypatch.setenv("LAKE_TOKEN_KEY", str(tmp_path / "token_key"))
    make_token_key(tmp_path / "token_key")
    (tmp_path / "secret").write_text("Zsecret", "utf-8")
    first, *others = ORDERS.fields
    with duckdb_session(tmp_path / "scratch") as session:
        let_tokenise(session, replace(ORDERS, fields=(replace(first, protection="tokenise"), *others)))
        assert session.execute(f"select getvariable('{INNER_PAD}') is not null").fetchall() == [(True,)]
        yield session


# The contract's own look at the text takes each of them for a query over `conformed` alone.
@pytest.mark.parametrize(
    "query",
    [
        "select cast('0x' || hex(getvariable('lake_inner_pad'))[1:14] as bigint) + 0 * count(*) from conformed",
        r"select count(*) * 0 + length(E'\'') * 0 + ((select ascii(max(content)) from read_text('SECRET')) /* ' */ + 0)"
        " from conformed",
        r"select 1 from conformed where length(E'\'') > 0; copy (select 1 as a) to 'SECRET' /* ' ) */",
    ],
)
def test_check_reaches_neither_the_token_key_nor_a_file(
    tokens: duckdb.DuckDBPyConnection, tmp_path: Path, query: str
) -> None:
    query = query.replace("SECRET", str(tmp_path / "secret"))
    assert query_problem(query) is None
    check = Check("leak", query, "=", (Decimal(1),))
    try:
        [outcome] = judge_checks(tokens, replace(ORDERS, checks=(check,)), ())
    except LakeError:
        pass
    else:
        assert outcome.value is None
    assert (tmp_path / "secret").read_text("utf-8") == "Zsecret"


def test_error_of_a_check_quotes_no_value_of_a_confidential_asset(
    tokens: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    tokens.execute(f"copy (select 'Zmarked' as note) to '{tmp_path}/1.parquet'")
    check = Check("number", "select max(cast(note as integer)) from conformed", "=", (Decimal(3),))
    first, *others = ORDERS.fields
    for classification, quoted in (("public", True), ("personal", False)):
        asset = replace(ORDERS, checks=(check,), fields=(replace(first, classification=classification), *others))
        with pytest.raises(LakeError, match="the query of check 'number' cannot run: Conversion Error") as failure:
            judge_checks(tokens, asset, (f"{tmp_path}/1.parquet",))
        assert ("Zmarked" in str(failure.value)) == quoted


def test_checks_of_many_windows_share_one_session(tokens: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    check = Check("rows", "select count(*) from conformed", "=", (Decimal(3),))
    paths = [str(tmp_path / f"{number}.parquet") for number in (1, 2)]
    for number, path in enumerate(paths, 2):
        tokens.execute(f"copy (select * from range({number})) to '{path}'")
    asset = replace(ORDERS, checks=(check,))
    values = [judge_checks(tokens, asset, (path,))[0].value for path in paths]
    assert values == [2, 3]
    assert _locked_session(tokens) is _locked_session(tokens)
