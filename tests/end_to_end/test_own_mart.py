"""A mart of a user's own: two files in a folder of the dbt project."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import duckdb
import psycopg
import pytest

from lake_assets.dbt.environment import dbt_state
from lake_assets.dbt.manifest import dbt_executable
from lake_assets.settings import PROJECT
from tests.end_to_end.conftest import Lake

# Language, file name and content of each block. A block without a language has commands.
BLOCK = re.compile(r"^```(\w*) ?(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

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
    assert "The model origins_data_mart.origins was not built: Compilation Error:" in refused.err
    assert "enforced contract that failed" in refused.err
    assert "Column: leads. Owner: unknown: add `owners` to its YAML. Next step: correct " in refused.err
    yaml = mart / "origins.yml"
    yaml.write_text(YAML.replace("integer", "bigint"), "utf-8")
    built = lake.ok("run")
    assert "Analysts cannot read origins_data_mart yet: grant access with `lake apply`." in built.out
    closed = lake("sql", "select * from origins_data_mart.origins", "--as", "analyst")
    assert (closed.code, "permission denied for schema origins_data_mart" in closed.err) == (2, True)
    lake.ok("apply")
    lake.ok("sql", "select * from origins_data_mart.origins", "--as", "analyst")


def documented(lake: Lake, line: str) -> str:
    """Run a command of the documentation, which must succeed, and return its output."""
    variables, words = {}, shlex.split(line)
    while "=" in words[0]:
        name, _, variables[name] = words.pop(0).partition("=")
    program, *arguments = words
    if program == "lake":
        assert not variables
        owner = replace(lake, environment={**lake.environment, "LAKE_PREVIEW_ANALYSTS": "ann"})
        return owner.ok(*arguments).out
    assert program == "lake-dbt"
    environment = {**lake.environment, **variables}
    done = subprocess.run([dbt_executable(), *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def documents_folder(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """An empty folder to work in; what the documentation adds to the lake is removed."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for asset in ("shipments", "drivers"):
        lake.unapply(asset)
    shutil.rmtree(lake.folder / "dbt" / "models" / "marts" / "tours_data_mart", ignore_errors=True)


def test_commands_of_the_page_about_marts_lead_to_its_rows(lake: Lake, documents_folder: Path) -> None:
    """All files are written and all commands are run in the order of the page."""
    page = (PROJECT / "docs" / "write-a-mart.md").read_text("utf-8")
    outputs: dict[str, str] = {}
    for language, name, content in BLOCK.findall(page):
        if name:
            folder = lake.folder / "dbt" if name.startswith("models/") else documents_folder
            (folder / name).write_text(content, "utf-8")
        elif not language:
            outputs |= {line: documented(lake, line) for line in content.splitlines()}
    first, last = (output for line, output in outputs.items() if line.startswith("lake sql"))
    assert (first.count("S-00"), first.count("bike"), "email" in first) == (5, 2, False)
    table = "".join(f"{line.rstrip()}\n" for line in last.splitlines())
    assert f"```text\n{table}```" in page
    assert "PASS=1" in outputs["lake-dbt test --select tours,test_type:unit"]
    with duckdb.connect(dbt_state(lake.settings) / "own" / "dev_ann" / "personal.duckdb", read_only=True) as own:
        assert own.execute("select count(*) from dev_ann.heavy_towns").fetchone() == (3,)


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


def test_table_of_a_deleted_model_is_named_by_plan_and_forget(lake: Lake) -> None:
    """Regression guard: readers saw its last rows for ever, and those of a person who was to be forgotten."""
    with psycopg.connect(lake.settings.postgres.conninfo("lake")) as session:
        session.execute("create schema if not exists former_data_mart")
        session.execute("create table former_data_mart.former ()")
    try:
        steps = [step for step in lake.ok("plan", "--json").json if step["kind"] == "mart"]
        assert ("former_data_mart.former", "keep") in [(step["name"], step["action"]) for step in steps]
        found = lake.ok("forget", "sales", "order_id=none", "--json").json["out_of_reach"]
        assert any("former_data_mart.former" in sentence for sentence in found)
    finally:
        with psycopg.connect(lake.settings.postgres.conninfo("lake")) as session:
            session.execute("drop schema former_data_mart cascade")
