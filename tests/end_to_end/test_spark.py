"""Spark as its user sees it: an entrypoint, a damaged file, and a word in the contract."""

import json
import re
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml

from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.engine import Choice
from lake_assets.landing.files import files, window_rows
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.adapters import warehouse_for
from lake_assets.operations.refresh import ConformResult, RefreshContext, RequestedWindows, refresh
from lake_assets.project import read_files
from lake_assets.settings import PROJECT
from tests.end_to_end.conftest import Lake
from tests.support.conditions import wait_until
from tests.support.erasures import files_holding

SAMPLE = "\n".join(
    json.dumps(
        {"visit_id": f"v{n}", "visitor_id": f"p{n % 2}", "page": "/", "visited_at": f"2026-02-0{1 + n}T10:00:00Z"}
    )
    for n in range(3)
)
COUNTED = """\
def transform(df, contract):
    return df.filter("page <> '/dropped'")
"""


@pytest.fixture(scope="module")
def visits(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> Generator[Lake]:
    """The lake with an asset `visits` whose entrypoint is the one of docs/spark.md."""
    spark = tmp_path_factory.mktemp("spark")
    code = re.findall(r"```python\n(.*?)```", (PROJECT / "docs" / "spark.md").read_text("utf-8"), re.DOTALL)
    (spark / "sessions.py").write_text(code[0], "utf-8")
    (spark / "counted.py").write_text(COUNTED, "utf-8")
    with_spark = replace(lake, environment={**lake.environment, "LAKE_SPARK_PROJECT": str(spark)})
    with_spark.ok("new", "visits", "--domain", "web", "--owner", "web@example.com", "--from", "-", stdin=SAMPLE)
    _change(with_spark, entrypoint="sessions:transform")
    contract = yaml.safe_load(lake.contract("visits").read_text("utf-8"))
    contract["schema"][0]["properties"].append(
        {"name": "session_id", "logicalType": "string", "description": "Session."}
    )
    lake.contract("visits").write_text(yaml.safe_dump(contract, sort_keys=False), "utf-8")
    with_spark.ok("apply")
    yield with_spark
    lake.unapply("visits")


def _change(lake: Lake, **conform: str) -> None:
    """Replace the contract's conform property."""
    contract = yaml.safe_load(lake.contract("visits").read_text("utf-8"))
    others = [item for item in contract["customProperties"] if item["property"] != "conform"]
    contract["customProperties"] = [*others, {"property": "conform", "value": conform}]
    lake.contract("visits").write_text(yaml.safe_dump(contract, sort_keys=False), "utf-8")


def _visit(visit: int, visitor: str, at: datetime, page: str = "/") -> str:
    return json.dumps({"visit_id": f"v{visit}", "visitor_id": visitor, "page": page, "visited_at": at.isoformat()})


def test_what_is_wrong_with_one_window_does_not_hold_back_another(visits: Lake) -> None:
    """One window's entrypoint loses a row, another's raw file is damaged: the third is published.

    With both repaired, the entrypoint of the docs fills in its column, and the ledger is in balance.
    """
    _change(visits, entrypoint="counted:transform")
    visits.ok("apply")
    windows = ["2026-02-11", "2026-02-12", "2026-02-13"]
    lost, damaged, sound = (datetime.fromisoformat(f"{window}T09:00:00+00:00") for window in windows)
    lines = [
        _visit(11, "anna", lost),
        _visit(12, "anna", lost + timedelta(minutes=20), "/dropped"),
        _visit(13, "anna", lost + timedelta(minutes=90)),
        _visit(14, "bert", lost + timedelta(minutes=1)),
        _visit(14, "bert", lost + timedelta(minutes=1)),
        json.dumps({"visit_id": "v15", "visited_at": lost.isoformat()}),
        _visit(21, "anna", damaged),
        _visit(31, "anna", sound),
    ]
    visits.ok("produce", "visits", "-", stdin="\n".join(lines))
    settings = replace(visits.settings, catalog=visits.folder / "catalog")
    asset = read_files(settings).assets["visits"]
    wait_until(lambda: sum(window_rows(settings, asset).values()) == len(lines))
    file = Path(files(settings, asset, windows).by_window[windows[1]][0].path)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    answer = visits("run")
    file.write_bytes(content)
    assert answer.code != 0
    output = answer.out + answer.err
    assert "visits: window 2026-02-11 cannot be built: counted:transform was given 4 rows and returned 3" in output
    assert "visits: window 2026-02-12 cannot be built: " in output
    why = visits.ok("why", "visits", "2026-02-11").out
    assert "Failed, for this window: counted:transform was given 4 rows" in why
    assert "lake run visits" in why
    assert "visits: window 2026-02-11 cannot be built: counted:transform was given 4 rows" in visits("status").out
    query = "select visit_id, session_id from visits_staging.visits order by visit_id"
    assert visits.staging(query) == [{"visit_id": "v31", "session_id": None}]

    _change(visits, entrypoint="sessions:transform")
    visits.ok("apply")
    visits.ok("run")
    assert [(row["visit_id"], row["session_id"]) for row in visits.staging(query)] == [
        ("v11", "anna-1"),
        ("v12", "anna-1"),
        ("v13", "anna-2"),
        ("v14", "bert-1"),
        ("v21", "anna-1"),
        ("v31", None),
    ]
    assert visits.audit("visits")["in_balance"]
    assert "with spark" in visits.ok("why", "visits", windows[0]).out


def test_auto_leaves_to_spark_what_is_larger_than_the_threshold(visits: Lake) -> None:
    _change(visits, engine="auto")
    settings = replace(visits.settings, catalog=visits.folder / "catalog")
    asset = read_files(settings).assets["visits"]
    asked: list[str] = []

    def on_spark(windows: Sequence[WindowInput]) -> ConformResult:
        asked.extend(window.window for window in windows)
        return ConformResult((), {}, {})

    def engine(threshold: int) -> Choice | None:
        given = replace(settings, spark=replace(settings.spark, threshold=threshold))
        with Ledger(given) as ledger:
            context = RefreshContext(
                given, ledger, warehouse_for(given), asset, run_id="run", log=lambda _: None, on_spark=on_spark
            )
            return refresh(context, lambda: RequestedWindows(["2026-02-13"])).engine

    small, large = engine(10**9), engine(1)
    assert small
    assert large
    assert (small.engine, large.engine, asked) == ("duckdb", "spark", ["2026-02-13"])
    assert "within the threshold of 1,000 MB" in small.reason
    assert "more than the threshold of 0 MB" in large.reason


def test_a_subject_is_erased_by_a_field_that_only_the_entrypoint_fills_in(visits: Lake) -> None:
    _change(visits, entrypoint="sessions:transform")
    visits.ok("apply")
    at = datetime.fromisoformat("2026-02-21T09:00:00+00:00")
    lines = [
        _visit(41, "carl", at),
        _visit(42, "dora", at),
        _visit(43, "carl", at + timedelta(minutes=10)),
        json.dumps({"visit_id": "v44", "visitor_id": "carl", "visited_at": at.isoformat()}),
    ]
    visits.ok("produce", "visits", "-", stdin="\n".join(lines))
    visits.ok("run")
    query = (
        "select visit_id, session_id from visits_staging.visits where visit_id in ('v41', 'v42', 'v43') order by all"
    )
    assert [tuple(row.values()) for row in visits.staging(query)] == [
        ("v41", "carl-1"), ("v42", "dora-1"), ("v43", "carl-1"),
    ]  # fmt: skip
    by_session = visits.ok("forget", "visits", "-", "--json", stdin="session_id=carl-1").json
    assert by_session["windows"] == {"2026-02-21": {"raw": 2, "staging": 2, "quarantine": 0}}
    planned = visits.ok("forget", "visits", "-", "--json", stdin="visitor_id=carl").json
    assert planned["windows"] == {"2026-02-21": {"raw": 3, "staging": 2, "quarantine": 1}}
    visits.ok("forget", "visits", "-", "--confirm", planned["checksum"], stdin="visitor_id=carl")
    assert visits.staging(query) == [{"visit_id": "v42", "session_id": "dora-1"}]
    assert visits.audit("visits")["in_balance"]
    assert files_holding(visits.settings.bucket, "carl") == []
