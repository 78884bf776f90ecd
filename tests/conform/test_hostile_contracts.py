"""A hostile contract is refused, or it is text: nothing in it becomes SQL, YAML, Jinja or a path."""

import copy
import json
from pathlib import Path, PurePath
from typing import Any

import duckdb
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.problems import ContractError
from lake_assets.catalog.window_results import WindowInput
from lake_assets.compile.dbt_sources import dbt_files, source_yaml
from lake_assets.conform.duckdb import conform
from tests.support.conform_records import NOON, Record, write_raw

TREE: dict[str, Any] = {
    "apiVersion": "v3.1.0", "kind": "DataContract", "id": "ops.visits", "name": "visits", "version": "1.0.0",
    "status": "active", "domain": "ops", "description": {"purpose": "Visits."},
    "team": {"name": "ops", "members": [{"username": "ops@example.com", "role": "owner"}]},
    "customProperties": [{"property": "landing", "value": {"eventTime": "came_at"}}],
    "schema": [{"name": "visits", "properties": [
        {"name": "visit_id", "logicalType": "string", "required": True, "primaryKey": True},
        {"name": "door", "logicalType": "string"},
        {"name": "came_at", "logicalType": "timestamp", "required": True},
    ]}],
}  # fmt: skip
PIECES = st.sampled_from(
    ["'", "''", '"', "\\", "`", ";", "--", "/*", "*/", "$1", "$$", "?", "%s", "{", "{{", "}}", "{%", "{#", "\n", "\t",
     "drop table judged", " or 1=1", "')", "'))", "]", "}", ":", "&a", "*a", "!!python", "#", "../", "\u2028", "\u202e",
     "a", "ß", "'; attach 'x' as y; --", "$.door", "null", "case"]
)  # fmt: skip
TEXTS = st.lists(PIECES, min_size=1, max_size=6).map("".join)


def read(tree: dict[str, Any]) -> Asset | None:
    """The asset, None when the contract is refused with its problems."""
    try:
        return parse_contract(json.dumps(tree), PurePath("visits.yaml"))
    except ContractError:
        return None


def judged(asset: Asset, key: str, values: list[str], folder: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """The doors of good rows, and code and value of each error."""
    raw = folder / "raw.parquet"
    rows = [{"visit_id": str(n), key: value, "came_at": "2026-01-01T12:00:00Z"} for n, value in enumerate(values)]
    write_raw(
        raw, [Record(json.dumps(row).encode(), offset=n, timestamp=NOON) for n, row in enumerate(rows)], "ops.visits"
    )
    window = WindowInput("2026-01-01", (str(raw),), len(rows), 1)
    [output] = conform(asset, [window], f"file://{folder}/out", folder, "run", "file")
    good = duckdb.sql(f"select door from read_parquet({list(output.good_files)}) order by _offset").fetchall()
    bad = (
        duckdb.sql(
            'select error.code, error.value from (select unnest(errors) as error, "offset" as o from '
            f"read_parquet({list(output.quarantine_files)})) order by o, 1"
        ).fetchall()
        if output.quarantine_files
        else []
    )
    return [door for (door,) in good], bad


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(allowed="'; drop table judged; --", key="'], 'x')--", description="{{ env_var('HOME') }}")
@example(allowed="a', 'b", key='door"}', description="*/ {% raw %}")
@given(allowed=TEXTS, key=TEXTS, description=TEXTS)
def test_any_text_of_a_contract_is_compared_and_never_run(
    tmp_path_factory: pytest.TempPathFactory, allowed: str, key: str, description: str
) -> None:
    tree = copy.deepcopy(TREE)
    enum = {"metric": "invalidValues", "arguments": {"validValues": [allowed]}, "mustBe": 0}
    tree["schema"][0]["properties"][1] |= {"physicalName": key, "quality": [enum], "description": description}
    tree["description"]["purpose"] = description
    asset = read(tree)
    if asset is None or key in ("visit_id", "came_at"):
        return
    folder = tmp_path_factory.mktemp("hostile")
    good, bad = judged(asset, key, [allowed, "another"], folder)
    assert good == [allowed]
    assert bad == [("enum", "another")]
    [source] = yaml.safe_load(source_yaml(asset))["sources"]
    assert [column["name"] for column in source["tables"][0]["columns"]] == ["visit_id", "door", "came_at"]
    assert not any(opening in source["tables"][0]["description"] for opening in ("{{", "{%", "{#"))


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "..", "a/b", "a\\b", "a.b", "visits; drop schema lake", 'vi"sits', "vi'sits",
     "VISITS", "visits ", "-rf", "$(id)", "con\x00", "", "v" * 300, "select"],
)  # fmt: skip
def test_a_name_that_is_more_than_a_name_is_refused_wherever_it_stands(name: str) -> None:
    for place in ("name", "domain", "both"):
        tree = copy.deepcopy(TREE)
        if place != "domain":
            tree["schema"][0]["name"] = name
        tree["name" if place == "both" else place] = name
        assert read(tree) is None, place
    tree = copy.deepcopy(TREE)
    tree["schema"][0]["properties"][1]["name"] = name
    assert read(tree) is None


def test_what_is_generated_stays_in_its_folder() -> None:
    asset = read(TREE)
    assert asset
    assert all(".." not in path.parts and not path.is_absolute() for path in dbt_files(asset))


def test_a_pattern_takes_linear_time_whatever_it_is(tmp_path: Path) -> None:
    """A regular expression engine that backtracks never ends on this value."""
    tree = copy.deepcopy(TREE)
    tree["schema"][0]["properties"][1]["logicalTypeOptions"] = {"pattern": "^(a+)+$"}
    asset = read(tree)
    assert asset
    good, bad = judged(asset, "door", ["a" * 50_000, "a" * 50_000 + "!"], tmp_path)
    assert good == ["a" * 50_000]
    assert [code for code, _ in bad] == ["pattern"]


@pytest.mark.parametrize(
    "text",
    ["a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "{" * 50_000, "[" * 50_000 + "]" * 50_000,
     "!!python/object:os.system x", "a: " + "x" * 5_000_000, "? " * 20_000],
    ids=["aliases", "open", "deep", "object", "long", "keys"],
)  # fmt: skip
def test_a_file_made_to_choke_the_reader_is_refused(text: str) -> None:
    with pytest.raises(ContractError):
        parse_contract(text, PurePath("visits.yaml"))
