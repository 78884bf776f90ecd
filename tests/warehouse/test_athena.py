"""Staging and quarantine on AWS: what is published, what a query sees, and what is left when a step fails."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from click.testing import CliRunner

from lake_assets.bucket import read, write
from lake_assets.catalog.model import Asset, Field, FieldType
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.cli.sql import command as sql
from lake_assets.compile.dbt_sources import staging_sql
from lake_assets.errors import LakeError, SettingsError, Unavailable
from lake_assets.operations.adapters import erasure_for, warehouse_for
from lake_assets.settings import Settings
from lake_assets.warehouse.aws import athena_query, glue
from lake_assets.warehouse.aws.athena import Athena
from lake_assets.warehouse.results import QueryError
from tests.support.conform_records import ORDERS
from tests.support.doubles.athena import AthenaDouble
from tests.support.doubles.aws_endpoint import Fault
from tests.warehouse.conftest import Outputs

ONE, TWO, THREE = "2026-01-01", "2026-01-02", "2026-01-03"
_numbers = count(1)


@pytest.fixture
def asset(warehouse: Athena) -> Asset:
    """An asset of the test's own, with its tables."""
    made = replace(ORDERS, dataset=f"orders{next(_numbers)}")
    warehouse.ensure(made)
    return made


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (glue, athena_query):  # not everybody's sleep: other threads would never pause either
        monkeypatch.setattr(module, "sleep", lambda _: None)


def order(order_id: str, **fields: object) -> bytes:
    return json.dumps({"order_id": order_id, "ordered_at": "2026-01-01T12:00:00Z", **fields}).encode()


def staged(aws: AthenaDouble, asset: Asset, columns: str = "order_id, _window") -> list[tuple[Any, ...]]:
    query = f'select {columns} from "{asset.staging_schema}"."{asset.name}" order by _window, _offset'
    return [tuple(row.values()) for row in aws.rows(query)]


def quarantined(aws: AthenaDouble, asset: Asset) -> list[dict[str, Any]]:
    table = f'"{asset.staging_schema}"."{asset.quarantine_table}"'
    return aws.rows(f'select * from {table} order by _window, "offset"')


def ids(aws: AthenaDouble, asset: Asset) -> list[str]:
    return [order_id for order_id, _ in staged(aws, asset)]


def test_rows_are_read_back_as_they_were_published(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    whole = order(
        "a", region="north", quantity=7, amount="1234567890.12", weight=1.5, gift=True, code="AB12",
        due="2026-02-03", seen="04.05.2026 06:07", sent=1767225600123, detail={"deep": [1, "ü"]}, unknown="kept",
    )  # fmt: skip
    bad = b'{"order_id": "far-too-long", "amount": "x"\xff}'
    warehouse.replace_windows(asset, conformed(asset, {ONE: [whole, order("b"), bad]}))
    everything = f'select * from "{asset.staging_schema}"."{asset.name}" order by _offset'
    first, second = aws.rows(everything)
    assert set(first) == {
        *(field.name for field in ORDERS.fields), "_window", "_kafka_partition", "_offset", "_event_at", "_loaded_at",
        "_contract_version", "_extra",
    }  # fmt: skip
    assert {name: first[name] for name in ("order_id", "quantity", "amount", "weight", "gift", "due")} == {
        "order_id": "a", "quantity": 7, "amount": Decimal("1234567890.12"), "weight": 1.5, "gift": True,
        "due": date(2026, 2, 3),
    }  # fmt: skip
    assert (first["seen"], first["sent"]) == (
        datetime(2026, 5, 4, 6, 7, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 123000, tzinfo=UTC),
    )  # fmt: skip
    assert (json.loads(first["detail"]), json.loads(first["_extra"])) == ({"deep": [1, "ü"]}, {"unknown": "kept"})
    assert first["_window"] == datetime(2026, 1, 1)
    assert {second[name] for name in ("region", "amount", "gift", "due", "seen", "detail", "_extra")} == {None}
    [row] = quarantined(aws, asset)
    assert (row["asset"], row["payload"], row["offset"] % 1000, row["key"]) == (asset.name, bad, 2, None)
    assert [sorted(error) for error in row["errors"]] == [["code", "field", "message", "value"]]
    assert warehouse.window_rows(asset) == {ONE: (2, 1)}


def test_purge_keeps_a_mart_among_query_results_and_deletes_the_results(
    aws: AthenaDouble, settings: Settings, asset: Asset
) -> None:
    results = f"{settings.bucket}/athena"
    location = f"{results}/lake/tables/1/"
    files = {f"{location}part-0": b"mart", f"{results}/lake/tables/2/part-0": b"older", f"{results}/1.csv": b"answer"}
    for url, content in files.items():
        write(url, content)
    table = {"Name": "funnel", "StorageDescriptor": {"Location": location, "Columns": []}}
    aws.ask_moto("CreateDatabase", {"DatabaseInput": {"Name": "funnel_data_mart"}})
    aws.ask_moto("CreateTable", {"DatabaseName": "funnel_data_mart", "TableInput": table})
    erasure_for(settings).purge(asset, [], ())
    assert [url for url in files if read(url)] == [f"{location}part-0"]
    aws.ask_moto("DeleteTable", {"DatabaseName": "funnel_data_mart", "Name": "funnel"})
    aws.ask_moto("DeleteDatabase", {"Name": "funnel_data_mart"})


def test_publishing_twice_changes_nothing(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    outputs = conformed(asset, {ONE: [order("a"), b"bad"]})
    warehouse.replace_windows(asset, outputs)
    before = (staged(aws, asset), quarantined(aws, asset))
    aws.calls.clear()
    warehouse.replace_windows(asset, outputs)
    assert (staged(aws, asset), quarantined(aws, asset)) == before
    assert not [call for call in aws.calls if not call.startswith(("Get", "BatchGet"))]


def test_a_late_window_replaces_itself_and_no_other(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a")], TWO: [order("b"), b"bad"]}))
    assert warehouse.window_rows(asset) == {ONE: (1, 0), TWO: (1, 1)}
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a"), order("late")], THREE: [order("c")]}))
    assert ids(aws, asset) == ["a", "late", "b", "c"]
    assert warehouse.window_rows(asset) == {ONE: (2, 0), TWO: (1, 1), THREE: (1, 0)}


def test_a_window_without_rows_is_empty_afterwards(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a"), b"bad"], TWO: [order("b")]}))
    warehouse.replace_windows(asset, conformed(asset, {ONE: []}))
    assert warehouse.window_rows(asset) == {TWO: (1, 0)}
    warehouse.replace_windows(asset, conformed(asset, {ONE: []}))
    assert warehouse.window_rows(asset) == {TWO: (1, 0)}


def test_files_beside_those_of_the_outputs_do_not_count(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    conformed(asset, {ONE: [order("left by a run that died")]})
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a")]}))
    assert ids(aws, asset) == ["a"]


def test_windows_of_an_hour_are_partitions_too(aws: AthenaDouble, warehouse: Athena, conformed: Outputs) -> None:
    asset = replace(ORDERS, dataset=f"orders{next(_numbers)}", window="hour")
    warehouse.ensure(asset)
    windows = {"2026-01-01-09:00": [order("a")], "2026-01-01-10:00": [order("b"), b"bad"]}
    warehouse.replace_windows(asset, conformed(asset, windows))
    assert warehouse.window_rows(asset) == {"2026-01-01-09:00": (1, 0), "2026-01-01-10:00": (1, 1)}


def test_a_row_keeps_the_time_when_it_was_first_quarantined(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    warehouse.replace_windows(asset, conformed(asset, {ONE: [b"bad"]}))
    [first] = quarantined(aws, asset)
    outputs = conformed(asset, {ONE: [b"bad", b"worse"]})
    for _ in range(2):
        warehouse.replace_windows(asset, outputs)
        old, new = quarantined(aws, asset)
        assert old["first_seen"] == first["first_seen"] < new["first_seen"]
        assert (old["run_id"], new["run_id"]) == ("run-2", "run-2")
    warehouse.replace_windows(asset, conformed(asset, {ONE: [b"bad"]}))
    [again] = quarantined(aws, asset)
    assert (again["first_seen"], again["run_id"]) == (first["first_seen"], "run-3")


def test_rows_are_read_back_for_a_replay(warehouse: Athena, asset: Asset, conformed: Outputs) -> None:
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a"), b"{bad"], TWO: [b"[]"]}))
    wider = replace(asset, fields=(*asset.fields, Field("later", FieldType("string"))))
    assert warehouse.rows(wider, "staging", [ONE, TWO], ("order_id", "later")).to_pylist() == [
        {"order_id": "a", "later": None}
    ]
    (row,) = warehouse.rows(asset, "quarantine", [TWO], ("_window", "payload", "errors")).to_pylist()
    assert (row["_window"], row["payload"]) == (datetime(2026, 1, 2, tzinfo=UTC), b"[]")
    assert [error["code"] for error in row["errors"]] == ["not_an_object"]
    assert warehouse.rows(asset, "quarantine", [], ("offset",)).num_rows == 0


def test_only_the_named_windows_are_asked_for(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a")], TWO: [order("b")]}))
    assert warehouse.window_rows(asset, [ONE, THREE]) == {ONE: (1, 0)}
    [query] = aws.queries.values()
    assert query["asked"]["QueryString"].count("where _window in (timestamp '2026-01-01 00:00:00', ") == 2
    assert query["asked"]["WorkGroup"] == "primary"
    assert warehouse.window_rows(asset, []) == {}


def test_a_hundred_windows_are_published_in_six_calls(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    [some] = conformed(asset, {ONE: [order("a"), b"bad"]})
    windows = [f"2026-{month:02}-{day:02}" for month in range(1, 6) for day in range(1, 21)]
    aws.calls.clear()
    warehouse.replace_windows(asset, [replace(some, window=window) for window in windows])
    assert sorted(aws.calls) == sorted(2 * ["BatchGetPartition", "GetTable", "BatchCreatePartition"])
    assert len(aws.partitions(asset.staging_schema, asset.name)) == 100
    [other] = conformed(asset, {ONE: [order("b")]})
    aws.calls.clear()
    warehouse.replace_windows(asset, [replace(other, window=window) for window in windows])
    # Of a hundred partitions Glue deletes 25 in a call.
    assert sorted(aws.calls) == sorted(
        2 * ["BatchGetPartition", "GetTable"] + ["BatchUpdatePartition"] + 4 * ["BatchDeletePartition"]
    )


def test_a_staging_model_shows_the_latest_state_of_each_key(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    later = {"ordered_at": "2026-01-02T12:00:00Z", "quantity": 2}
    warehouse.replace_windows(
        asset, conformed(asset, {ONE: [order("a", quantity=1), order("b")], TWO: [order("a", **later)]})
    )
    table = f'"{asset.staging_schema}"."{asset.name}"'
    model = re.sub(r"\{\{ source\(.*\) \}\}", table, staging_sql(asset))
    assert {row["order_id"]: row["quantity"] for row in aws.rows(model)} == {"a": 2, "b": None}


def test_an_optional_field_that_is_new_is_null_in_old_rows(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a")]}))
    fields = (asset.fields[0], Field("tip", FieldType("decimal", 9, 2), description="What\nwas given."))
    grown = replace(asset, fields=(*fields, *asset.fields[1:]))
    assert warehouse.missing(grown) == [f"add column {asset.staging_schema}.{asset.name}.tip decimal(9,2)"]
    assert warehouse.ensure(grown) == [f"add column {asset.staging_schema}.{asset.name}.tip decimal(9,2)"]
    warehouse.replace_windows(grown, conformed(grown, {TWO: [order("b", tip="0.50")]}))
    assert staged(aws, asset, "order_id, tip") == [("a", None), ("b", Decimal("0.50"))]
    columns = aws.table(asset.staging_schema, asset.name)["StorageDescriptor"]["Columns"]
    assert columns[-1] == {"Name": "tip", "Type": "decimal(9,2)", "Comment": "What was given."}


def with_larger_amounts(asset: Asset) -> Asset:
    larger = FieldType("decimal", 20, 2)
    return replace(asset, fields=tuple(replace(f, type=larger) if f.name == "amount" else f for f in asset.fields))


def test_a_decimal_grows_and_old_rows_are_read_with_it(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a", amount="1.25")]}))
    grown = with_larger_amounts(asset)
    assert warehouse.ensure(grown) == [f"widen column {asset.staging_schema}.{asset.name}.amount to decimal(20,2)"]
    assert warehouse.missing(grown) == []
    warehouse.replace_windows(grown, conformed(grown, {TWO: [order("b", amount="123456789012345678.25")]}))
    amounts = [amount for (amount,) in staged(aws, asset, "amount")]
    assert amounts == [Decimal("1.25"), Decimal("123456789012345678.25")]


def test_a_crash_while_a_decimal_grows_is_made_good_by_the_next_try(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a", amount="1.25")]}))
    grown = with_larger_amounts(asset)
    aws.faults = [("UpdateTable", "expired")]
    with pytest.raises(LakeError, match="expired"):
        warehouse.ensure(grown)
    assert warehouse.ensure(grown)
    assert staged(aws, asset, "amount") == [(Decimal("1.25"),)]


def test_ensure_returns_what_it_created_and_nothing_the_second_time(warehouse: Athena, aws: AthenaDouble) -> None:
    asset = replace(ORDERS, dataset=f"orders{next(_numbers)}", description="Orders,\nall of them.")
    made = [f"create table {asset.staging_schema}.{name}" for name in (asset.name, asset.quarantine_table)]
    assert warehouse.missing(asset) == made
    assert warehouse.ensure(asset) == made
    aws.calls.clear()
    assert warehouse.ensure(asset) == warehouse.missing(asset) == []
    assert set(aws.calls) == {"GetTable"}
    table = aws.table(asset.staging_schema, asset.name)
    assert table["Description"] == "Orders, all of them."
    described = replace(asset, fields=(replace(asset.fields[0], description="Its name."), *asset.fields[1:]))
    assert warehouse.ensure(described) == [f"describe column {asset.staging_schema}.{asset.name}.order_id"]
    assert warehouse.missing(described) == []


def test_a_change_of_another_program_meanwhile_is_kept(aws: AthenaDouble, warehouse: Athena, asset: Asset) -> None:
    def change_table() -> None:
        table = aws.table(asset.staging_schema, asset.name)
        columns = [*table["StorageDescriptor"]["Columns"], {"Name": "theirs", "Type": "string"}]
        changed = {
            **{key: table[key] for key in ("Name", "TableType", "PartitionKeys", "Description")},
            "Parameters": {**table["Parameters"], "theirs": "yes"},
            "StorageDescriptor": {**table["StorageDescriptor"], "Columns": columns},
        }
        aws.ask_moto("UpdateTable", {"DatabaseName": asset.staging_schema, "TableInput": changed})

    aws.before["UpdateTable"] = change_table
    grown = replace(asset, fields=(*asset.fields, Field("tip", FieldType("integer"))))
    warehouse.ensure(grown)
    table = aws.table(asset.staging_schema, asset.name)
    names = [column["Name"] for column in table["StorageDescriptor"]["Columns"]]
    assert names[-2:] == ["theirs", "tip"]
    assert table["Parameters"]["theirs"] == "yes"
    assert warehouse.missing(grown) == []


FAULTS: list[Fault] = ["throttled", "unavailable", "answer lost"]


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_moments_are_waited_out(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs, fault: Fault
) -> None:
    calls = ("GetTable", "BatchGetPartition", "BatchCreatePartition", "BatchUpdatePartition", "BatchDeletePartition")
    queries = ("StartQueryExecution", "GetQueryExecution", "GetQueryResults")
    aws.faults = [(call, fault) for call in (*calls, *queries)]
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a"), b"bad"], TWO: [order("b")]}))
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("c")]}))
    assert warehouse.window_rows(asset) == {ONE: (1, 0), TWO: (1, 0)}
    assert aws.faults == []
    assert len(aws.queries) == 1
    assert ids(aws, asset) == ["c", "b"]


def test_a_lost_answer_while_tables_are_created_or_changed_does_no_harm(aws: AthenaDouble, warehouse: Athena) -> None:
    asset = replace(ORDERS, dataset=f"orders{next(_numbers)}")
    aws.faults = [("CreateDatabase", "answer lost"), ("CreateTable", "answer lost")]
    warehouse.ensure(asset)
    grown = replace(asset, fields=(*asset.fields, Field("tip", FieldType("integer"))))
    aws.faults.append(("UpdateTable", "answer lost"))
    warehouse.ensure(grown)
    assert not aws.faults
    assert warehouse.missing(grown) == []


def parts(windows: tuple[WindowOutput, ...]) -> Iterator[str]:
    return (f"{output.window} 00:00:00" for output in windows)


def test_what_a_batch_left_out_is_asked_for_again(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    outputs = conformed(asset, {ONE: [order("a"), b"bad"], TWO: [order("b")]})
    aws.refuse = {(asset.name, part): ["ThrottlingException", "InternalServiceException"] for part in parts(outputs)}
    aws.refuse[asset.quarantine_table, f"{ONE} 00:00:00"] = [
        "OperationTimeoutException",
        "ConcurrentModificationException",
    ]
    warehouse.replace_windows(asset, outputs)
    assert warehouse.window_rows(asset) == {ONE: (1, 1), TWO: (1, 0)}
    assert not any(aws.refuse.values())


def test_a_window_that_is_refused_leaves_all_of_them_as_they_were(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a"), b"bad"], TWO: [order("b")]}))
    before = (staged(aws, asset), quarantined(aws, asset))
    outputs = conformed(asset, {ONE: [order("c")], TWO: [order("d"), b"bad"], THREE: [order("e"), b"bad"]})
    aws.refuse = {(asset.name, f"{TWO} 00:00:00"): ["AccessDeniedException"]}
    with pytest.raises(
        LakeError, match=rf"{asset.name} \(3 windows from {ONE} to {THREE}\) was not published"
    ) as raised:
        warehouse.replace_windows(asset, outputs)
    assert f"{TWO} 00:00:00 (AccessDeniedException: not this one)" in str(raised.value)
    assert (staged(aws, asset), quarantined(aws, asset)) == before
    warehouse.replace_windows(asset, outputs)
    assert warehouse.window_rows(asset) == {ONE: (1, 0), TWO: (1, 1), THREE: (1, 1)}


def test_a_part_that_is_never_done_ends_the_wait(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(glue, "sleep", pauses.append)
    aws.refuse = {(asset.name, f"{ONE} 00:00:00"): ["ThrottlingException"] * 6}
    with pytest.raises(Unavailable, match="ThrottlingException"):
        warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a"), b"bad"]}))
    assert pauses == sorted(pauses)
    assert len(pauses) == 5
    assert warehouse.window_rows(asset) == {}


def test_an_expired_token_is_reported_and_leaves_the_old_rows(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a"), b"bad"]}))
    outputs = conformed(asset, {ONE: [order("b"), b"bad"]})
    for call in ("BatchGetPartition", "BatchUpdatePartition"):
        aws.faults = [(call, "expired")]
        with pytest.raises(LakeError, match=rf"{asset.name} \({ONE}\) was not published: .* check your credentials"):
            warehouse.replace_windows(asset, outputs)
        assert ids(aws, asset) == ["a"]
        assert {row["run_id"] for row in quarantined(aws, asset)} == {"run-1"}


@pytest.mark.fault(
    "Athena or BigQuery (doubles): a crash between the two tables of a window",
    "the next run publishes both",
)
def test_a_crash_between_the_two_tables_is_made_good_by_the_next_run(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a"), b"bad"]}))
    [first] = quarantined(aws, asset)
    outputs = conformed(asset, {ONE: [order("b"), b"bad"]})

    class Killed(BaseException):
        pass

    real = glue.Catalogued.switch

    def first_only(table: glue.Catalogued, *given: Any) -> None:
        if table.table.name == asset.name:
            raise Killed
        real(table, *given)

    with monkeypatch.context() as patch:
        patch.setattr(glue.Catalogued, "switch", first_only)
        with pytest.raises(Killed):
            warehouse.replace_windows(asset, outputs)
    assert ids(aws, asset) == ["a"]
    assert [row["run_id"] for row in quarantined(aws, asset)] == ["run-2"]
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("b"), b"bad"]}))
    assert ids(aws, asset) == ["b"]
    [again] = quarantined(aws, asset)
    assert (again["first_seen"], again["run_id"]) == (first["first_seen"], "run-3")


@pytest.mark.parametrize(("retryable", "kind"), [(False, QueryError), (True, Unavailable)])
def test_a_query_that_fails_is_reported_with_athenas_reason(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, retryable: bool, kind: type[LakeError]
) -> None:
    aws.broken = ("EXCEEDED_MEMORY_LIMIT: Query exceeded its memory.", retryable)
    with pytest.raises(LakeError, match="is failed: EXCEEDED_MEMORY_LIMIT") as raised:
        warehouse.window_rows(asset)
    assert type(raised.value) is kind


def test_a_missing_table_is_reported_with_the_command_that_creates_it(
    aws: AthenaDouble, warehouse: Athena, conformed: Outputs
) -> None:
    asset = replace(ORDERS, dataset=f"orders{next(_numbers)}")
    outputs = conformed(asset, {ONE: [order("a")]})
    with pytest.raises(LakeError, match="lake apply"):
        warehouse.replace_windows(asset, outputs)


def test_a_bucket_that_refuses_publishes_nothing(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = conformed(asset, {ONE: [order("a")]})
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws.url)
    with pytest.raises(Unavailable, match=re.escape(f"{asset.name} ({ONE}) was not published, because the bucket")):
        warehouse.replace_windows(asset, outputs)


def test_the_target_chooses_athena_and_names_what_it_lacks(
    aws: AthenaDouble, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(warehouse_for(settings), Athena)
    with pytest.raises(SettingsError, match="Athena cannot read file:///lake: set LAKE_BUCKET to a s3:// URL"):
        warehouse_for(replace(settings, bucket="file:///lake"))
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(SettingsError, match="AWS_REGION"):
        warehouse_for(settings)


def test_query_of_an_analyst_is_answered_where_the_marts_are(
    aws: AthenaDouble, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lake sql --as analyst` asked the lake's Postgres on every target, where a cloud's marts are not."""
    monkeypatch.setenv("LAKE_TARGET", "aws")
    monkeypatch.setenv("LAKE_BUCKET", settings.bucket)
    result = CliRunner().invoke(sql, ["select 7 as answer", "--as", "analyst", "--json"], catch_exceptions=False)
    assert json.loads(result.stdout) == [{"answer": 7}]


def test_a_window_is_removed_from_the_one_table_that_is_named(
    aws: AthenaDouble, warehouse: Athena, asset: Asset, conformed: Outputs
) -> None:
    bad = order("far-too-long")
    warehouse.replace_windows(asset, conformed(asset, {ONE: [order("a"), bad]}))
    warehouse.remove_windows(asset, "staging", [ONE])
    assert warehouse.window_rows(asset) == {ONE: (0, 1)}
    warehouse.remove_windows(asset, "staging", [ONE])
    warehouse.remove_windows(asset, "quarantine", [ONE])
    assert warehouse.window_rows(asset) == {}
