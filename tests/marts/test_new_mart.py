"""`lake new-mart`: files that can be built at once, with joins that add no rows."""

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path, PurePath

import psycopg
import pytest
from click.testing import CliRunner

from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.cli.new_mart import command
from lake_assets.compile.ddl import create_table, staging_columns
from lake_assets.compile.new_mart import NewMart, find_joins, new_mart
from lake_assets.errors import LakeError
from lake_assets.settings import PROJECT, Settings
from lake_assets.warehouse.local.connection import connect
from lake_assets.warehouse.local.postgres_marts import PostgresMarts
from lake_assets.warehouse.marts import outdated_dbt_files, write_dbt_files
from tests.support.mart_rows import Dbt

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: depot.NAME
name: NAME
version: 1.0.0
status: draft
domain: depot
description: {{purpose: One row of NAME.}}
team: {{name: depot, members: [{{username: depot@example.com, role: owner}}]}}
customProperties:
  - {{property: landing, value: {{eventTime: seen_at, window: day}}}}
schema:
  - name: NAME
    properties:
      - {{name: seen_at, logicalType: timestamp, required: true}}
{fields}
"""
KEY = "name: {}, logicalType: {}, required: true, primaryKey: true"
# A field of each type; a system column of Postgres; a name that the other asset has too; names of CTEs; an enum.
FINAL = (
    KEY.format("crate_id", "integer"),
    "name: weight, logicalType: number, physicalType: double",
    "name: fill, logicalType: number, physicalType: 'decimal(2,2)'",
    "name: is_open, logicalType: boolean, description: 'Braces {{ of }} an author.'",
    "name: packed_on, logicalType: date",
    "name: content, logicalType: object",
    "name: xmin, logicalType: string",
    "name: driver, logicalType: string, classification: personal",
    "name: depot, logicalType: string, required: true",
)
DEPOTS = (KEY.format("depot", "string"), "name: xmin, logicalType: integer", "name: fill, logicalType: string")


def asset(name: str, *fields: str) -> Asset:
    lines = "\n".join(f"      - {{{field}}}" for field in fields)
    return parse_contract(CONTRACT.format(fields=lines).replace("NAME", name), PurePath(f"{name}.yaml"))


def joins(*assets: Asset) -> tuple[str, list[str]]:
    base, found = find_joins(assets)
    return base.name, [join.asset.name for join in found]


def test_base_is_the_model_whose_rows_a_join_does_not_multiply() -> None:
    leads = asset("leads", KEY.format("lead_id", "string"))
    contracts = asset("contracts", KEY.format("contract_id", "string"), "name: lead_id, logicalType: string")
    assert joins(leads, contracts) == ("contracts", ["leads"])
    assert joins(contracts, leads) == ("contracts", ["leads"])


@pytest.mark.parametrize(
    ("key", "field"),
    [
        (KEY.format("lead_id", "string"), "name: lead_id, logicalType: integer"),
        (KEY.format("lead_id", "string"), "name: lead_id, logicalType: string, classification: personal"),
        (KEY.format("id", "string"), "name: id, logicalType: string"),
        ("name: lead_id, logicalType: string", "name: lead_id, logicalType: string"),
    ],
    ids=["another type", "hidden", "generic name", "no key"],
)
def test_join_that_nothing_proves_is_left_to_the_author(key: str, field: str) -> None:
    leads, calls = asset("leads", key), asset("calls", KEY.format("call_id", "string"), field)
    assert joins(calls, leads) == ("calls", [])
    mart = new_mart("talks", [calls, leads])
    assert mart.unjoined == ("stg_leads",)
    assert "-- FILL IN the join" in mart.sql
    assert not [line for line in mart.sql.splitlines() if "leads." in line and "--" not in line]


def test_whole_key_of_several_fields_is_needed_for_a_join() -> None:
    lines = asset("lines", KEY.format("order_id", "string"), KEY.format("line", "integer"))
    parts = asset("parts", KEY.format("part_id", "string"), "name: order_id, logicalType: string")
    assert joins(parts, lines) == ("parts", [])
    whole = asset("whole", KEY.format("part_id", "string"), *(f.replace(", primaryKey: true", "") for f in lines_of()))
    assert joins(whole, lines) == ("whole", ["lines"])


def lines_of() -> tuple[str, str]:
    return KEY.format("order_id", "string"), KEY.format("line", "integer")


def test_models_are_joined_over_a_third_one() -> None:
    towns = asset("towns", KEY.format("town_id", "string"))
    shops = asset("shops", KEY.format("shop_id", "string"), "name: town_id, logicalType: string")
    bills = asset("bills", KEY.format("bill_id", "string"), "name: shop_id, logicalType: string")
    assert joins(towns, shops, bills) == ("bills", ["shops", "towns"])


@pytest.fixture
def odd(built: Settings) -> Generator[NewMart]:
    """Two assets with one staging row each, and the files of a mart `moves` of both."""
    assets = [asset("final", *FINAL), asset("depots", *DEPOTS)]
    write_dbt_files(outdated_dbt_files(built, assets))
    with connect(built) as session:
        for each, row in zip(assets, ("7 as crate_id, 'x' as depot", "'x' as depot, 5 as xmin"), strict=True):
            table = f"lake.{each.staging_schema}.{each.name}"
            session.execute(f"create schema if not exists lake.{each.staging_schema}")
            session.execute(create_table(table, staging_columns(each)))
            session.execute(
                f"insert into {table} by name select {row}, timestamptz '2026-01-01 00:30:00+02' as seen_at, "
                "now() as _event_at, 0 as _kafka_partition, 0 as _offset"
            )
    mart = new_mart("moves", assets)
    folder = built.dbt_project / "models" / "marts" / "moves_data_mart"
    folder.mkdir()
    (folder / "moves.sql").write_text(mart.sql, "utf-8")
    (folder / "moves.yml").write_text(mart.yaml, "utf-8")
    yield mart
    shutil.rmtree(folder)
    with connect(built) as session:
        for each in assets:
            shutil.rmtree(built.dbt_project / "models" / "staging" / each.dataset)
            session.execute(f"drop schema lake.{each.staging_schema} cascade")


def test_written_mart_of_every_type_is_built_and_tested_as_it_is(odd: NewMart, built: Settings, dbt: Dbt) -> None:
    assert odd.left_out == ("stg_final.driver",)
    PostgresMarts(built).ensure(["moves_data_mart"])
    done = dbt("build", "--select", "moves")
    assert "PASS=3" in done.stdout, "the mart, its unit test and its grain"
    with psycopg.connect(built.postgres.conninfo("analyst")) as analyst:
        rows = analyst.execute(
            "select crate_id, depot, depots_xmin, final_xmin, seen_at::text from moves_data_mart.moves"
        ).fetchall()
        columns = analyst.execute("select * from moves_data_mart.moves limit 0").description
    assert rows == [(7, "x", 5, None, "2025-12-31 22:30:00")]
    assert columns is not None
    assert {column.name for column in columns}.isdisjoint({"driver", "xmin"})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the dbt project; no stack is there."""
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAKE_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.setenv("LAKE_DBT_PROJECT", str(tmp_path / "dbt"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PROJECT / "lake_assets" / "catalog" / "assets", tmp_path / "catalog" / "assets")
    (tmp_path / "catalog" / "assets" / "broken.yaml").write_text("name: broken\n", "utf-8")
    shutil.copytree(PROJECT / "dbt_project" / "models" / "marts", tmp_path / "dbt" / "models" / "marts")
    return tmp_path / "dbt" / "models" / "marts"


@pytest.fixture
def new(project: Path) -> Callable[..., str]:
    def call(*args: str) -> str:
        result = CliRunner().invoke(command, args)
        if isinstance(result.exception, LakeError):
            raise result.exception
        assert result.exit_code == 0
        return result.output

    return call


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("calls", "--from", "stg_leds"), r"no contract has a model 'stg_leds': did you mean 'stg_leads'\?$"),
        (("calls", "--from", "orders"), r"no contract has a model 'orders': the models are: stg_contracts, stg_leads,"),
        (("calls", "--from", "leads"), r"did you mean 'stg_leads'\?$"),
        (("calls", "--from", "stg_leads,stg_leads"), "names a model twice: name each once.$"),
        (("calls", "--from", "stg_broken"), "the contract of stg_broken is invalid: .*broken.yaml:1: "),
        (("calls",), "name them with --from stg_ASSET"),
        (("funnel", "--from", "stg_leads"), r"funnel_data_mart/funnel\.sql exists already: edit it"),
        (("Calls", "--from", "stg_leads"), "'Calls' cannot be the name of a mart: it is not a name"),
        (("select", "--from", "stg_leads"), r"is a reserved word of SQL; use another, such as 'select_'\.$"),
        (("stg_calls", "--from", "stg_leads"), r"models of contracts begin with 'stg_'\.$"),
        ((54 * "c", "--from", "stg_leads"), r"has 54 characters; 53 is the most\.$"),
    ],
)
def test_bad_input_for_a_mart_is_refused_and_nothing_is_written(
    arguments: tuple[str, ...], sentence: str, new: Callable[..., str], project: Path
) -> None:
    before = sorted(project.rglob("*"))
    with pytest.raises(LakeError, match=sentence) as caught:
        new(*arguments)
    assert caught.value.exit_code == 2
    assert sorted(project.rglob("*")) == before


def test_output_names_joins_hidden_columns_and_lines_to_fill_in(new: Callable[..., str], project: Path) -> None:
    output = new("signed", "--from", "stg_leads,stg_contracts")
    assert "Joined stg_leads on contracts.lead_id = leads.lead_id." in output
    assert "Left out, because marts may not have what is confidential: stg_leads.email." in output
    lines = (project / "signed_data_mart" / "signed.yml").read_text("utf-8").splitlines()
    number = next(number for number, line in enumerate(lines, 1) if "who uses the mart" in line)
    assert f"  dbt/models/marts/signed_data_mart/signed.yml:{number}  who uses the mart" in output


def test_json_of_a_new_mart_has_its_files_and_what_is_not_joined(new: Callable[..., str], project: Path) -> None:
    answer = json.loads(new("signed", "--from", "stg_leads,stg_sales", "--json"))
    assert answer["unjoined"] == ["stg_sales"]
    assert [Path(path).read_text("utf-8").count("FILL IN") for path in answer["files"]] == [2, 4]
    assert len(answer["fill_in"]) == 6


def test_files_of_a_new_mart_are_as_open_as_others_of_the_project(project: Path) -> None:
    lake = str(Path(sys.executable).parent / "lake")
    subprocess.run([lake, "new-mart", "signed", "--from", "stg_leads"], umask=0o022, capture_output=True, check=True)
    files = (project / "signed_data_mart").iterdir()
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o644}
