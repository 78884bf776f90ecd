"""Sources and `stg_` models, generated from contracts."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.catalog.model import Asset, Field, FieldType
from lake_assets.compile.dbt_sources import dbt_files, source_yaml, staging_sql
from lake_assets.errors import LakeError
from lake_assets.settings import PROJECT, load_settings
from lake_assets.warehouse.marts import outdated_dbt_files, write_dbt_files

Row = tuple[str, int, int, int, int]


def test_the_committed_files_are_the_contracts(catalog: Mapping[str, Asset]) -> None:
    folder = PROJECT / "dbt_project" / "models" / "staging"
    for asset in catalog.values():
        for relative, text in dbt_files(asset).items():
            assert (folder / relative).read_text("utf-8") == text, f"run `lake apply`: {relative} is not current"


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(), st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)),
        unique_by=lambda row: row[3:],
        max_size=12,
    )
)
def test_a_staging_model_shows_the_latest_state_of_each_key(rows: list[Row]) -> None:
    """Rows are (key, value, event time, partition, offset); partition and offset distinguish any two rows."""
    latest: dict[str, Row] = {}
    for row in rows:
        key = row[0]
        if key not in latest or row[2:] > latest[key][2:]:
            latest[key] = row
    assert select(keyed_by("id"), rows) == sorted((row[0], row[1] % 100) for row in latest.values())


def test_a_staging_model_without_a_key_shows_every_event() -> None:
    rows: list[Row] = [("a", 1, 1, 0, 0), ("a", 1, 1, 0, 1)]
    assert select(keyed_by(), rows) == [("a", 1), ("a", 1)]


def test_what_the_lake_adds_to_a_row_goes_no_further(catalog: Mapping[str, Asset]) -> None:
    for asset in catalog.values():
        shown = staging_sql(asset).rsplit("select", 1)[1].split("from")[0]
        assert [name.strip() for name in shown.split(",")] == [f.name for f in asset.fields if f.is_shown]
    assert not catalog["leads"].field("email").is_shown


@given(st.text(max_size=60))
def test_a_description_is_text_whatever_is_in_it(description: str) -> None:
    asset = replace(keyed_by("id"), description=description)
    [source] = yaml.safe_load(source_yaml(asset))["sources"]
    shown = source["tables"][0]["description"]
    assert not any(opening in shown for opening in ("{{", "{%", "{#"))
    assert shown.replace("{ ", "{") == description.replace("{ ", "{")


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "true", "null", "y"])
def test_a_name_that_is_a_value_in_yaml_stays_a_name(word: str) -> None:
    asset = replace(keyed_by("id"), dataset=word)
    asset = replace(asset, fields=(*asset.fields, replace(asset.fields[0], name=word)))
    read = yaml.safe_load(source_yaml(asset))
    (table,) = read["sources"][0]["tables"]
    assert (table["name"], table["columns"][-1]["name"]) == (word, word)
    assert read["models"][0]["columns"][-1]["name"] == word


def test_project_that_may_not_be_changed_is_an_error_with_a_remedy(
    catalog: Mapping[str, Asset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: `lake apply` in a pod, whose project belongs to another user, ended in a traceback."""
    monkeypatch.setenv("LAKE_DBT_PROJECT", str(tmp_path))
    files = outdated_dbt_files(load_settings(), catalog.values())
    (tmp_path / "models").write_text("no folder", "utf-8")
    with pytest.raises(LakeError, match=r"cannot be written .*: run `lake apply` on a copy"):
        write_dbt_files(files)


def test_only_changed_files_are_written(
    catalog: Mapping[str, Asset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_DBT_PROJECT", str(tmp_path))
    lake = load_settings()
    files = outdated_dbt_files(lake, catalog.values())
    assert len(files) == 2 * len(catalog)
    write_dbt_files(files)
    assert outdated_dbt_files(lake, catalog.values()) == []
    renamed = replace(catalog["leads"], description="Other words.")
    changed = outdated_dbt_files(lake, [renamed, catalog["sales"]])
    assert [file.path.name for file in changed] == ["stg_leads.yml"]


def test_a_new_major_version_stands_beside_the_old_one(
    catalog: Mapping[str, Asset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_DBT_PROJECT", str(tmp_path))
    lake = load_settings()
    write_dbt_files(outdated_dbt_files(lake, [catalog["leads"]]))
    write_dbt_files(outdated_dbt_files(lake, [replace(catalog["leads"], version="2.0.0")]))
    names = sorted(path.name for path in (tmp_path / "models" / "staging" / "leads").iterdir())
    assert names == ["stg_leads.sql", "stg_leads.yml", "stg_leads_v2.sql", "stg_leads_v2.yml"]


def keyed_by(*key: str) -> Asset:
    columns = (Field("id", FieldType("string")), Field("value", FieldType("integer")))
    return Asset(
        dataset="thing", domain="test", version="1.0.0", description="A thing.", owners=("team:test",), fields=columns,
        key=key, event_time="at",
    )  # fmt: skip


def select(asset: Asset, rows: list[Row]) -> list[tuple[str, int]]:
    """Return the rows that the generated model selects from these rows, sorted."""
    query = staging_sql(asset).replace("{{ source('thing_staging', 'thing') }}", "thing")
    with duckdb.connect() as connection:
        connection.execute(
            "create table thing (id varchar, value bigint, _event_at bigint, _kafka_partition integer, _offset bigint)"
        )
        if rows:
            connection.executemany(
                "insert into thing values (?, ?, ?, ?, ?)", [(r[0], r[1] % 100, *r[2:]) for r in rows]
            )
        return sorted(connection.execute(query).fetchall())
