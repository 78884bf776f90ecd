"""The mart of docs/write-a-mart.md is a mart."""

import re
import shutil
from collections.abc import Generator

import psycopg
import pytest

from lake_assets.settings import PROJECT, Settings
from lake_assets.warehouse.local.postgres_marts import PostgresMarts
from lake_assets.warehouse.marts import mart_schemas
from tests.support.mart_rows import Dbt

FILE = re.compile(r"^```(?:sql|yaml)\n(?:--|#) (models/\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def written(built: Settings) -> Generator[Settings]:
    text = (PROJECT / "docs" / "write-a-mart.md").read_text("utf-8")
    folder = built.dbt_project / "models" / "marts" / "regions_data_mart"
    folder.mkdir()
    for name, content in FILE.findall(text):
        (built.dbt_project / name).write_text(content, "utf-8")
    yield built
    shutil.rmtree(folder)


def test_the_documented_mart_is_built_tested_and_readable(written: Settings, dbt: Dbt) -> None:
    PostgresMarts(written).ensure(mart_schemas(written))
    done = dbt("build", "--select", "regions")
    assert "ERROR=0" in done.stdout
    assert "PASS=4" in done.stdout, "the mart, its unit test and two data tests"
    with psycopg.connect(written.postgres.conninfo("analyst")) as analyst:
        rows = analyst.execute("select sum(orders), count(distinct region) from regions_data_mart.regions").fetchone()
    assert rows == (500, 2)
