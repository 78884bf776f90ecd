"""Events of lineage: the names that join them on each target, their facets, and two readers of the specification."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lake_assets.catalog.texts import Catalog
from lake_assets.dbt.manifest import Manifest, load_manifest
from lake_assets.operations.lineage import columns
from lake_assets.operations.lineage.columns import stored_column_sources
from lake_assets.operations.lineage.events import CheckResult, EventWriter, FinishedRun, Observed, Written
from lake_assets.operations.lineage.graph import Key, LakeGraph
from lake_assets.operations.lineage.marts import DataTest, ModelSources, read_marts
from lake_assets.operations.lineage.names import DatasetName, Names, file_name
from lake_assets.project import read_files
from lake_assets.settings import Settings, load_settings
from tests.support.cloud_lakes import variables
from tests.support.openlineage_readers import (
    Event,
    check_by_schema,
    names_of,
    read_by_client,
    upstream,
    without_empty,
)

RUN = "0b2f6d0c-7c38-4d2c-9a5e-3a2f8f5a4c11"
START = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
TARGETS = {
    "local": {"LAKE_TARGET": "local"},
    "aws": {"LAKE_TARGET": "aws", "LAKE_BUCKET": "s3://lake-bucket/data", "AWS_REGION": "eu-central-1"},
    "gcp": {
        "LAKE_TARGET": "gcp",
        "LAKE_BUCKET": "gs://lake-bucket",
        "LAKE_GCP_PROJECT": "shop-1",
        "LAKE_GCP_LOCATION": "EU",
    },
}
LOGIN = ("client_id", "client_secret", "refresh_token")
KAFKA = {"LAKE_KAFKA": "broker-1:9092,broker-2:9092"}
WAREHOUSES = {
    "local": ("postgres://127.0.0.1:0", "lake"),
    "aws": ("awsathena://athena.eu-central-1.amazonaws.com", "AwsDataCatalog"),
    "gcp": ("bigquery", "shop-1"),
}
RAW = {"aws": ("s3://lake-bucket", "data/raw/crm/leads"), "gcp": ("gs://lake-bucket", "raw/crm/leads")}


@dataclass(frozen=True)
class Lake:
    """The examples on one target, with the project's own marts."""

    settings: Settings
    catalog: Catalog
    manifest: Manifest
    sources: dict[str, ModelSources]

    def writer(self, settings: Settings | None = None, tests: dict[str, DataTest] | None = None) -> EventWriter:
        marts = read_marts(self.manifest, self.catalog.assets, self.catalog.metrics, self.sources)
        names = Names(settings or self.settings, "eu-central-1")
        return EventWriter(LakeGraph(names, self.catalog, marts), "lake", {**marts.tests, **(tests or {})})


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Lake]:
    """Return the lake of a target. The project is parsed and compiled as the target does, without any server."""

    @cache
    def lake_on(target: str) -> Lake:
        home = tmp_path_factory.mktemp(target)
        # dbt-bigquery wants to know a user, and logs in only when it asks BigQuery something.
        account = home / "account.json"
        account.write_text(json.dumps({"type": "authorized_user", **dict.fromkeys(LOGIN, "x")}), "utf-8")
        environment = {"LAKE_HOME": str(home), "GOOGLE_APPLICATION_CREDENTIALS": str(account)}
        with variables({**TARGETS[target], **KAFKA, **environment}):
            settings = load_settings()
            catalog, manifest = read_files(settings), load_manifest(settings)
            sources = stored_column_sources(settings, manifest, catalog.assets, catalog.metrics)
        return Lake(settings, catalog, manifest, sources)

    return lake_on


@pytest.fixture(params=TARGETS)
def lake(request: pytest.FixtureRequest, lakes: Callable[[str], Lake]) -> Lake:
    return lakes(request.param)


@pytest.fixture
def local(lakes: Callable[[str], Lake]) -> Lake:
    """Return a lake for what is the same on each target."""
    return lakes("local")


def written(*keys: Key, rows: int | None = None) -> dict[Key, Written]:
    return {key: Written(START + timedelta(seconds=5), rows, None if rows is None else 8 * rows) for key in keys}


def run_of(tables: dict[Key, Written], **changes: Any) -> FinishedRun:
    end = START + timedelta(seconds=9)
    made = FinishedRun(RUN, "__ASSET_JOB", START, end, "COMPLETE", frozenset(tables), tables)
    return replace(made, **changes)


def tables_of(name: str) -> list[Key]:
    return [("conformed", name), (f"{name}_staging", name), (f"{name}_staging", f"{name}_quarantine")]


MARTS: tuple[Key, ...] = (("funnel_data_mart", "funnel"), ("sales_data_mart", "sales"))
NAMES = ("leads", "contracts", "sales")


def events_of_everything(lake: Lake, settings: Settings | None = None) -> list[Event]:
    """Return the events of a day: records land, windows are conformed, marts are built, a metric is final."""
    writer = lake.writer(settings)
    keys = [*(key for name in NAMES for key in tables_of(name)), *MARTS]
    checks = {("sales_data_mart", "sales"): (CheckResult("not_null_sales_region", False, "warn"),)}
    observed = [("raw", name) for name in NAMES] + [("metrics", "sales_by_region")]
    events = [*writer.of_run(run_of(written(*keys, rows=3), checks=checks))]
    for number, key in enumerate(observed):
        events += writer.of_observed(Observed(key, number, START, written(key, rows=3)[key]))
    return [json.loads(json.dumps(event)) for event in events]


def test_names_lead_from_each_board_to_the_topics(lake: Lake) -> None:
    events = events_of_everything(lake)
    funnel, sales = upstream(events, "board.funnel_report"), upstream(events, "board.sales_board")
    kafka = "kafka://broker-1:9092"
    assert {name for namespace, name in funnel if namespace == kafka} == {"crm.leads", "crm.contracts"}
    assert {name for namespace, name in sales if namespace == kafka} == {"shop.sales"}
    store, database = WAREHOUSES[lake.settings.target]
    metric = (f"postgres://127.0.0.1:{lake.settings.postgres.port}", "lake.metrics.sales_by_region")
    assert metric in sales
    assert {(store, f"{database}.funnel_data_mart.funnel"), (store, f"{database}.leads_staging.leads")} <= funnel
    raw = RAW.get(lake.settings.target, ("file", f"{lake.settings.home}/bucket/raw/crm/leads"))
    assert raw in funnel
    assert (raw[0], raw[1].replace("raw/crm/leads", "conformed/leads/v1")) in funnel


def test_each_input_is_the_output_of_another_job_or_a_topic(lake: Lake) -> None:
    events = events_of_everything(lake)
    outputs = {name for event in events for name in names_of(event["outputs"])}
    inputs = {name for event in events for name in names_of(event["inputs"])}
    assert {namespace for namespace, _ in inputs - outputs} == {"kafka://broker-1:9092"}
    # Quarantine is for people, and the marts' readers are boards.
    assert {name.rpartition("_")[2] for _, name in outputs - inputs} == {"quarantine"}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("file:///home/me/bucket/raw", DatasetName("file", "/home/me/bucket/raw")),
        ("/home/me/bucket/raw", DatasetName("file", "/home/me/bucket/raw")),
        ("s3://bucket/a/raw", DatasetName("s3://bucket", "a/raw")),
        ("gs://bucket/raw", DatasetName("gs://bucket", "raw")),
        ("hdfs://namenode:8020/lake/raw", DatasetName("hdfs://namenode:8020", "/lake/raw")),
    ],
)
def test_files_are_named_by_the_specification(url: str, expected: DatasetName) -> None:
    assert file_name(url) == expected


@pytest.mark.parametrize("bucket", ["s3://bucket/lake", "gs://bucket", "hdfs://namenode:8020/lake"])
def test_names_join_on_each_bucket(local: Lake, bucket: str) -> None:
    events = events_of_everything(local, replace(local.settings, bucket=bucket))
    found = upstream(events, "board.funnel_report")
    assert (file_name(f"{bucket}/raw/crm/leads").namespace, file_name(f"{bucket}/raw/crm/leads").name) in found
    assert ("kafka://broker-1:9092", "crm.leads") in found


def test_events_and_facets_satisfy_the_schemas_of_the_specification(lake: Lake) -> None:
    events = events_of_everything(lake)
    assert len(events) == 34
    for event in events:
        check_by_schema(event)


def test_client_of_openlineage_reads_and_writes_the_same_events(lake: Lake) -> None:
    for event in events_of_everything(lake):
        assert read_by_client(event) == without_empty(event)


def test_columns_of_marts_lead_to_staging_conformed_and_the_payload(lake: Lake) -> None:
    outputs = {
        (dataset["namespace"], dataset["name"]): dataset["facets"].get("columnLineage", {}).get("fields", {})
        for event in events_of_everything(lake)
        if event["eventType"] == "COMPLETE"
        for dataset in event["outputs"]
    }
    store, database = WAREHOUSES[lake.settings.target]

    def sources(name: tuple[str, str], column: str) -> set[tuple[str, str, str]]:
        fields = outputs[name][column]["inputFields"]
        return {(field["namespace"], field["name"], field["field"]) for field in fields}

    staging = (store, f"{database}.leads_staging.leads")
    assert (*staging, "origin") in sources((store, f"{database}.funnel_data_mart.funnel"), "origin")
    [conformed] = sources(staging, "origin")
    [payload] = sources(conformed[:2], "origin")
    assert (conformed[2], payload[2]) == ("origin", "payload")
    assert payload[:2] == RAW.get(lake.settings.target, ("file", f"{lake.settings.home}/bucket/raw/crm/leads"))
    mart = outputs[store, f"{database}.sales_data_mart.sales"]
    assert {"region", "orders", "amount"} <= mart.keys()


def by_job(events: Iterable[Event]) -> dict[str, list[Event]]:
    jobs: dict[str, list[Event]] = {}
    for event in events:
        jobs.setdefault(event["job"]["name"], []).append(event)
    return jobs


def test_each_job_of_a_run_has_a_start_and_an_end_with_the_run_as_parent(local: Lake) -> None:
    jobs = by_job(local.writer().of_run(run_of(written(*tables_of("leads"), MARTS[0]))))
    assert list(jobs) == [
        "__ASSET_JOB",
        "conform.leads",
        "funnel_data_mart.funnel",
        "staging.leads",
        "board.funnel_report",
    ]
    for name, (start, end) in jobs.items():
        assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
        assert start["run"]["runId"] == end["run"]["runId"]
        if name == "__ASSET_JOB":
            assert (start["run"]["runId"], start["run"]["facets"]) == (RUN, {})
        else:
            parent = start["run"]["facets"]["parent"]
            assert (parent["run"], parent["job"]["name"]) == ({"runId": RUN}, "__ASSET_JOB")
            assert parent["job"]["namespace"] == start["job"]["namespace"] == "lake"
    assert len({start["run"]["runId"] for start, _ in jobs.values()}) == len(jobs)
    assert [event["eventTime"] for event in jobs["conform.leads"]] == [
        "2026-11-30T12:00:00.000000Z",
        "2026-11-30T12:00:05.000000Z",
    ]


def test_same_run_gives_the_same_events_twice(local: Lake) -> None:
    run = run_of(written(*tables_of("leads")))
    assert list(local.writer().of_run(run)) == list(local.writer().of_run(run))


def test_job_whose_table_was_not_written_failed(local: Lake) -> None:
    planned = frozenset({*tables_of("leads"), *tables_of("sales"), MARTS[0]})
    tables = written(*tables_of("leads"), *tables_of("sales"))
    run = run_of(tables, planned=planned, state="FAIL", failed=frozenset(tables_of("sales")))
    ends = {name: events[-1] for name, events in by_job(local.writer().of_run(run)).items()}
    assert {name: end["eventType"] for name, end in ends.items()} == {
        "__ASSET_JOB": "FAIL",
        "conform.leads": "COMPLETE",
        "staging.leads": "COMPLETE",
        # Some of its windows were written before its step failed.
        "conform.sales": "FAIL",
        "staging.sales": "FAIL",
        "funnel_data_mart.funnel": "FAIL",
    }
    assert RUN in ends["conform.sales"]["run"]["facets"]["errorMessage"]["message"]
    assert "errorMessage" not in ends["conform.leads"]["run"]["facets"]
    cancelled = run_of({}, planned=planned, state="ABORT")
    states = {events[-1]["eventType"] for events in by_job(local.writer().of_run(cancelled)).values()}
    assert states == {"ABORT"}


def test_run_of_other_tables_has_no_events(local: Lake) -> None:
    assert list(local.writer().of_run(run_of(written(("leftovers",), ("somebody_elses", "table"))))) == []


def test_output_has_the_rows_and_bytes_that_were_written(local: Lake) -> None:
    jobs = by_job(local.writer().of_run(run_of(written(*tables_of("leads"), rows=7))))
    start, end = jobs["conform.leads"]
    assert "outputFacets" not in start["outputs"][0]
    statistics = end["outputs"][0]["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["size"]) == (7, 56)


def test_checks_are_assertions_about_the_table_they_are_of(local: Lake) -> None:
    test = {"not_null_x": DataTest("not_null", "region")}
    checks = {
        ("sales_staging", "sales"): (CheckResult("rows_match_ledger", True, "error"),),
        MARTS[1]: (CheckResult("not_null_x", False, "warn"),),
    }
    run = run_of(written(*tables_of("sales"), MARTS[1]), checks=checks)
    jobs = by_job(local.writer(tests=test).of_run(run))
    [dataset] = jobs["sales_data_mart.sales.checks"][1]["inputs"]
    assert dataset["name"] == "lake.sales_data_mart.sales"
    assert dataset["inputFacets"]["dataQualityAssertions"]["assertions"] == [
        {"assertion": "not_null", "name": "not_null_x", "success": False, "severity": "warn", "column": "region"}
    ]
    [dataset] = jobs["sales_staging.sales.checks"][1]["inputs"]
    assert dataset["inputFacets"]["dataQualityAssertions"]["assertions"] == [
        {"assertion": "rows_match_ledger", "name": "rows_match_ledger", "success": True, "severity": "error"}
    ]


def test_tokenised_field_is_masked_on_its_way_from_the_payload(local: Lake) -> None:
    leads = local.catalog.assets["leads"]
    fields = tuple(replace(f, protection="tokenise") if f.name == "country" else f for f in leads.fields)
    catalog = replace(local.catalog, assets={**local.catalog.assets, "leads": replace(leads, fields=fields)})
    jobs = by_job(replace(local, catalog=catalog).writer().of_run(run_of(written(*tables_of("leads")))))
    lineage = jobs["conform.leads"][1]["outputs"][0]["facets"]["columnLineage"]["fields"]
    masked = {name: how["masking"] for name in lineage for how in lineage[name]["inputFields"][0]["transformations"]}
    assert {name for name, is_masked in masked.items() if is_masked} == {"country"}


def test_events_have_no_address_of_a_person(local: Lake) -> None:
    """Owners of assets, marts and boards are people."""
    owners = {owner for asset in local.catalog.assets.values() for owner in asset.owners}
    text = json.dumps(events_of_everything(local))
    assert owners
    assert not [owner for owner in owners if owner in text]
    assert "@" not in text


def test_dbt_is_called_once_for_a_state_of_the_project(local: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def compile_again(*arguments: object, **options: object) -> Manifest:
        calls.append(arguments)
        return local.manifest

    monkeypatch.setattr(columns, "compiled_manifest", compile_again)
    arguments = (local.settings, local.manifest, local.catalog.assets, local.catalog.metrics)
    assert stored_column_sources(*arguments) == local.sources
    assert calls == []
    newer = {**local.manifest, "metadata": {**local.manifest["metadata"], "invocation_id": "newer"}}
    stored_column_sources(local.settings, newer, local.catalog.assets, local.catalog.metrics)
    assert len(calls) == 1


def test_dbt_that_ends_the_tick_is_not_called_by_the_next(local: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def end_the_tick(*arguments: object, **options: object) -> Manifest:
        raise KeyboardInterrupt

    monkeypatch.setattr(columns, "compiled_manifest", end_the_tick)
    slow = {**local.manifest, "metadata": {**local.manifest["metadata"], "invocation_id": "slow"}}
    arguments = (local.settings, slow, local.catalog.assets, local.catalog.metrics)
    with pytest.raises(KeyboardInterrupt):
        stored_column_sources(*arguments)
    assert stored_column_sources(*arguments) == {}


def test_dbt_is_called_again_later_if_it_compiled_nothing(local: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    def compile_nothing(settings: Settings, manifest: Manifest, **options: object) -> Manifest:
        calls.append(options)
        return manifest

    monkeypatch.setattr(columns, "compiled_manifest", compile_nothing)
    failing = {**local.manifest, "metadata": {**local.manifest["metadata"], "invocation_id": "failing"}}
    arguments = (local.settings, failing, local.catalog.assets, local.catalog.metrics)
    assert [stored_column_sources(*arguments), stored_column_sources(*arguments)] == [{}, {}]
    assert len(calls) == 1
    monkeypatch.setattr(columns, "RETRY_SECONDS", 0.0)
    stored_column_sources(*arguments)
    assert len(calls) == 2


def test_names_are_the_paths_of_the_lake(local: Lake, tmp_path: Path) -> None:
    names = Names(replace(local.settings, bucket=f"file://{tmp_path}"))
    assert names.conformed("leads", 2) == DatasetName("file", f"{tmp_path}/conformed/leads/v2")
