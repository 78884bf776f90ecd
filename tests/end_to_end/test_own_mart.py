"""A mart of a user's own: two files in a folder of the dbt project."""

import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import Lake

SQL = "select origin, count(*) as leads from {{ ref('stg_leads') }} group by 1\n"
YAML = """\
models:
  - name: origins
    description: Leads of each origin.
    config: {contract: {enforced: true}}
    columns:
      - {name: origin, data_type: string, description: Where the lead came from.}
      - {name: leads, data_type: integer, description: How many leads.}
"""
LEAD = (
    '{"lead_id": "own-mart", "origin": "web", "country": "NL", "consent": true, "created_at": "2026-02-09T10:00:00Z"}'
)


@pytest.fixture
def mart(lake: Lake) -> Generator[Path]:
    folder = lake.folder / "dbt" / "models" / "marts" / "origins_data_mart"
    folder.mkdir()
    (folder / "origins.sql").write_text(SQL, "utf-8")
    (folder / "origins.yml").write_text(YAML, "utf-8")
    yield folder
    shutil.rmtree(folder)


def test_problems_of_a_new_mart_are_reported_with_the_next_step(lake: Lake, mart: Path) -> None:
    """The mart's types differ from its contract; then its schema has no reader; then an analyst reads it."""
    lake.ok("produce", "leads", "-", stdin=LEAD)
    refused = lake("run")
    assert refused.code == 1
    assert "Compilation Error in model origins" in refused.err
    assert "enforced contract that failed" in refused.err
    yaml = mart / "origins.yml"
    yaml.write_text(YAML.replace("integer", "bigint"), "utf-8")
    built = lake.ok("run")
    assert "Analysts cannot read origins_data_mart yet: grant access with `lake apply`." in built.out
    closed = lake("sql", "select * from origins_data_mart.origins", "--as", "analyst")
    assert (closed.code, "permission denied for schema origins_data_mart" in closed.err) == (2, True)
    lake.ok("apply")
    lake.ok("sql", "select * from origins_data_mart.origins", "--as", "analyst")


def test_chart_of_a_missing_column_fails_plan_and_apply(lake: Lake, mart: Path) -> None:
    charts = (
        "    config: {meta: {charts: [{title: Leads, kind: bar, x: source, y: leads}]}, contract: {enforced: true}}\n"
    )
    board = "exposures:\n  - {name: origins, type: dashboard, owner: {name: us}, depends_on: [ref('origins')]}\n"
    yaml = mart / "origins.yml"
    text = YAML.replace("    config: {contract: {enforced: true}}\n", charts) + board
    yaml.write_text(text, "utf-8")
    for command in ("plan", "apply"):
        refused = lake(command)
        place = "models/marts/origins_data_mart/origins.yml: models.origins.config.meta.charts[0].x"
        assert refused.code == 2
        assert f"{place}: origins_data_mart.origins has no column 'source'." in refused.err
    yaml.write_text(text.replace("x: source", "x: origin"), "utf-8")
    lake.ok("plan")
