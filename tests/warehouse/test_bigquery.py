"""Windows published to BigQuery are what conform made of them, once, whatever happens on the way."""

import json
import threading
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest

from lake_assets.bucket import let_read
from lake_assets.catalog.model import Asset, Field, FieldType
from lake_assets.catalog.window_results import WindowInput, WindowOutput
from lake_assets.catalog.windows import window_key, window_start
from lake_assets.conform.duckdb import conform
from lake_assets.errors import LakeError, SettingsError, Unavailable
from lake_assets.operations.adapters import warehouse_for
from lake_assets.settings import Gcp, Settings, load_settings
from lake_assets.warehouse.gcp.bigquery import BigQuery
from tests.support.buckets import Bucket, gs
from tests.support.conditions import wait_until
from tests.support.conform_records import ORDERS, Record, write_raw
from tests.support.deploy_documents import google_permissions
from tests.support.doubles import bigquery
from tests.support.doubles.bigquery import LOCATION, PROJECT, BigQueryDouble, Fault

GOOD = (
    '{"order_id": "%s", "region": "north", "quantity": 3, "amount": "12.50", "weight": 0.5, "gift": true, '
    '"code": "AB1", "due": "2026-02-01", "seen": "01.01.2026 10:00", "sent": 1767261600123, "detail": {"a": [1]}, '
    '"ordered_at": "%s", "rate": "0.12345678901234567890", "more": "unknown"}'
)
# Its field `rate` is more than a NUMERIC holds.
PRECISE = replace(ORDERS, fields=(*ORDERS.fields, Field("rate", FieldType("decimal", 30, 20))))
HOURLY = replace(ORDERS, dataset="ticks", window="hour")


class Lake:
    """An empty warehouse on the double, and windows to publish."""

    def __init__(self, settings: Settings, double: BigQueryDouble, folder: Path) -> None:
        self.double = double
        self.settings = settings
        self.warehouse = BigQuery(settings)
        self._folder = folder

    def made(self, window: str, payloads: Sequence[bytes], asset: Asset = ORDERS) -> WindowOutput:
        raw = self._folder / "raw.parquet"
        at = window_start(window, asset.window) + timedelta(minutes=30)
        # Offsets belong to the window, so that a row that comes again is known again.
        first = int(at.timestamp()) // 3600 * 1000
        write_raw(raw, [Record(p, offset=first + n, timestamp=at, key=b"\xff") for n, p in enumerate(payloads)])
        windows = [WindowInput(window, (str(raw),), len(payloads), 1)]
        (output,) = conform(asset, windows, self.settings.conformed, self._folder, "run", uuid4().hex)
        return output

    def publish(self, *outputs: WindowOutput, asset: Asset = ORDERS) -> None:
        self.warehouse.replace_windows(asset, outputs)

    def staging(self) -> list[dict[str, Any]]:
        return self.double.rows("orders_staging.orders", "_window, _offset")

    def quarantine(self) -> list[dict[str, Any]]:
        return self.double.rows("orders_staging.orders_quarantine", '_window, "offset"')

    def ids(self) -> list[str]:
        return [row["order_id"] for row in self.staging()]

    def files(self, paths: Sequence[str], order: str) -> list[dict[str, Any]]:
        with duckdb.connect() as session:
            let_read(session, self.settings.bucket)
            session.execute("set timezone = 'UTC'")
            query = f"select * from read_parquet({list(paths)}) order by {order}"
            return session.execute(query).to_arrow_table().to_pylist()


def good(order_id: str, window: str = "2026-01-01") -> bytes:
    at = datetime.fromisoformat(window.replace("-05:00", "T05")).replace(tzinfo=UTC) + timedelta(minutes=30)
    return (GOOD % (order_id, at.isoformat())).encode()


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Generator[Bucket]:
    with gs(tmp_path_factory.mktemp("gs")) as bucket:
        yield bucket


@pytest.fixture
def lake(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Lake]:
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    double = BigQueryDouble(bucket.url)
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", double.url)
    settings = replace(load_settings(), target="gcp", bucket=bucket.url, gcp=Gcp(PROJECT, LOCATION, ()))
    made = Lake(settings, double, tmp_path)
    made.warehouse.ensure(ORDERS)
    double.calls.clear()
    yield made
    double.close()


def test_every_type_is_read_back_as_conform_wrote_it(lake: Lake) -> None:
    lake.warehouse.ensure(PRECISE)
    bad = b'{"order_id": "o2", "quantity": 99, "ordered_at": "2026-01-01"}'
    output = lake.made("2026-01-01", [good("o1"), b"\xff\x00", bad, good("o3").replace(b'"12.50"', b"null")], PRECISE)
    lake.publish(output, asset=PRECISE)
    assert lake.staging() == _in_order_of(lake.staging(), lake.files(output.good_files, "_offset"))
    assert [(row["amount"], row["rate"]) for row in lake.staging()] == [
        (Decimal("12.50"), Decimal("0.12345678901234567890")),
        (None, Decimal("0.12345678901234567890")),
    ]
    assert lake.quarantine() == lake.files(output.quarantine_files, '"offset"')
    assert [row["payload"] for row in lake.quarantine()] == [b"\xff\x00", bad]
    assert lake.quarantine()[1]["errors"][0]["field"] == "quantity"


def _in_order_of(like: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their columns in the order of the others: a column that was added stands last in the table."""
    assert {frozenset(row) for row in rows} == {frozenset(row) for row in like}
    return [{name: row[name] for name in like[0]} for row in rows]


def test_what_is_published_twice_is_there_once_and_loaded_once(lake: Lake) -> None:
    output = lake.made("2026-01-01", [good("o1"), b"broken"])
    lake.publish(output)
    before = lake.staging(), lake.quarantine()
    lake.publish(output)
    assert (lake.staging(), lake.quarantine()) == before
    assert len(before[0]) == len(before[1]) == 1
    assert len(lake.double.jobs) == 2


def test_a_load_that_a_dead_process_left_behind_is_cancelled(lake: Lake) -> None:
    """The job would put its rows over newer ones when BigQuery gets to it."""
    old, other = lake.made("2026-01-01", [good("old"), b"bad"]), lake.made("2026-01-02", [good("kept", "2026-01-02")])
    lake.double.holds = True
    with ThreadPoolExecutor(1) as died:
        done = died.submit(lake.publish, old, other)
        wait_until(lambda: len(lake.double.jobs) == 2)
        lake.double.holds = False
        lake.publish(lake.made("2026-01-01", [good("new")]))
        lake.double.go_on()
        with pytest.raises(LakeError, match="cancelled"):
            done.result(60)
    assert (lake.ids(), lake.quarantine()) == (["new", "kept"], [])


def test_an_old_run_that_comes_late_does_not_replace_newer_rows(lake: Lake) -> None:
    old, new = lake.made("2026-01-01", [good("o1")]), lake.made("2026-01-01", [good("o1"), good("o2")])
    lake.publish(old)
    lake.publish(new)
    lake.publish(old)
    assert lake.ids() == ["o1", "o2"]


def test_a_late_window_replaces_itself_only(lake: Lake) -> None:
    first, second = (lake.made(day, [good(day[-2:], day)]) for day in ("2026-01-01", "2026-01-02"))
    lake.publish(first, second)
    assert lake.ids() == ["01", "02"]
    lake.publish(lake.made("2026-01-01", [good("01"), good("late")]))
    assert lake.ids() == ["01", "late", "02"]
    assert lake.warehouse.window_rows(ORDERS) == {"2026-01-01": (2, 0), "2026-01-02": (1, 0)}
    assert lake.warehouse.window_rows(ORDERS, ["2026-01-02"]) == {"2026-01-02": (1, 0)}
    assert lake.warehouse.window_rows(ORDERS, []) == {}


def test_an_hourly_window_replaces_its_hour_only(lake: Lake) -> None:
    lake.warehouse.ensure(HOURLY)
    hours = ["2026-01-01-04:00", "2026-01-01-05:00"]
    lake.publish(*(lake.made(hour, [b"broken"], HOURLY) for hour in hours), asset=HOURLY)
    lake.publish(lake.made(hours[1], [good("o1", hours[1])], HOURLY), asset=HOURLY)
    assert lake.warehouse.window_rows(HOURLY) == {hours[0]: (0, 1), hours[1]: (1, 0)}


def test_a_window_without_good_rows_is_empty(lake: Lake) -> None:
    other = lake.made("2026-01-02", [good("o2", "2026-01-02")])
    lake.publish(lake.made("2026-01-01", [good("o1")]), other)
    lake.publish(lake.made("2026-01-01", [b"broken"]))
    assert lake.warehouse.window_rows(ORDERS) == {"2026-01-01": (0, 1), "2026-01-02": (1, 0)}
    lake.publish(lake.made("2026-01-01", [good("o1")]))
    assert lake.warehouse.window_rows(ORDERS) == {"2026-01-01": (1, 0), "2026-01-02": (1, 0)}


def test_windows_are_emptied_without_a_billed_query(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: each publication ran a DELETE on a quarantine that had no rows."""
    days = ["2026-01-01", "2026-01-02", "2026-01-03"]
    lake.publish(*(lake.made(day, [good(day[-2:], day)]) for day in days))
    lake.double.calls.clear()
    lake.warehouse.remove_windows(ORDERS, "staging", days[:2])
    assert lake.double.calls == ["tables.delete"] * 2
    assert lake.warehouse.window_rows(ORDERS) == {days[2]: (1, 0)}
    # Many at once are one statement, which takes less time.
    monkeypatch.setattr("lake_assets.warehouse.gcp.bigquery._PARTITIONS_BY_CALL", 1)
    lake.double.calls.clear()
    lake.warehouse.remove_windows(ORDERS, "staging", days)
    assert lake.double.calls == ["jobs.query"]
    assert lake.warehouse.window_rows(ORDERS) == {}


def test_a_row_that_stays_in_quarantine_keeps_its_first_seen_time(lake: Lake) -> None:
    seen: list[list[Any]] = []
    for payloads in ([b"broken"], [b"broken", b"new"], [b"broken", b"new", b"newer"]):
        lake.publish(lake.made("2026-01-01", payloads))
        seen.append([row["first_seen"] for row in lake.quarantine()])
    assert seen[0] == seen[1][:1] == seen[2][:1]
    assert seen[1] == seen[2][:2]
    assert seen[2] == sorted(set(seen[2]))


def test_rows_are_read_back_for_a_replay(lake: Lake) -> None:
    good = (GOOD % ("a", "2026-01-01T12:00:00Z")).encode()
    lake.publish(lake.made("2026-01-01", [good, b"{bad"]), lake.made("2026-01-02", [b"[]"]))
    staging = lake.warehouse.rows(ORDERS, "staging", ["2026-01-01"], ("order_id", "amount"))
    assert staging.to_pylist() == [{"order_id": "a", "amount": Decimal("12.50")}]
    quarantine = lake.warehouse.rows(ORDERS, "quarantine", ["2026-01-02"], ("_window", "payload", "errors"))
    (row,) = quarantine.to_pylist()
    assert (row["_window"], row["payload"]) == (datetime(2026, 1, 2, tzinfo=UTC), b"[]")
    assert [error["code"] for error in row["errors"]] == ["not_an_object"]
    assert lake.warehouse.rows(ORDERS, "quarantine", [], ("offset",)).num_rows == 0


def test_windows_are_loaded_at_the_same_time(lake: Lake) -> None:
    days = [f"2026-01-0{day}" for day in range(1, 9)]
    outputs = [lake.made(day, [good(day[-2:], day)]) for day in days]
    # Each load waits until all are begun.
    lake.double.meeting = threading.Barrier(len(days))
    lake.publish(*outputs)
    assert lake.ids() == [day[-2:] for day in days]


def test_a_window_takes_one_load_for_each_table_with_rows_and_no_listing(lake: Lake) -> None:
    lake.publish(lake.made("2026-01-01", [good("o1")]), lake.made("2026-01-02", [good("o2", "2026-01-02"), b"broken"]))
    # Both tables are looked at, and unfinished jobs; then known quarantined rows, and the quarantine without rows.
    assert lake.double.calls[:6] == ["tables.get"] * 2 + ["jobs.list"] * 2 + ["jobs.query", "tables.delete"]
    assert sorted(lake.double.calls[6:]) == ["jobs.get"] * 3 + ["jobs.insert"] * 3


def test_the_load_job_has_all_required_settings(lake: Lake) -> None:
    output = lake.made("2026-01-01", [good("o1")])
    lake.publish(output)
    ((job_id, job),) = lake.double.jobs.items()
    assert job_id.startswith("lake-orders_staging-orders-2026-01-01-")
    load = job["configuration"]["load"]
    assert load == {
        "destinationTable": {"projectId": PROJECT, "datasetId": "orders_staging", "tableId": "orders$20260101"},
        "sourceUris": list(output.good_files),
        "sourceFormat": "PARQUET",
        "writeDisposition": "WRITE_TRUNCATE_DATA",
        "createDisposition": "CREATE_NEVER",
        "autodetect": False,
        "timePartitioning": {"type": "DAY", "field": "_window"},
        "clustering": {"fields": ["order_id"]},
        "decimalTargetTypes": ["NUMERIC", "BIGNUMERIC"],
        "parquetOptions": {"enableListInference": True},
    }
    assert output.good_files[0].startswith("gs://lake/conformed/orders/v1/2026-01-01/")


@pytest.mark.parametrize("fault", ["throttled", "internal", "unavailable", "reset", "answer lost"])
def test_a_bad_moment_of_each_call_is_waited_out(lake: Lake, fault: Fault) -> None:
    lake.publish(lake.made("2026-01-01", [good("o1")]))
    lake.double.faults += [(call, fault) for call in ("tables.get", "jobs.query", "jobs.insert", "jobs.get")]
    lake.publish(lake.made("2026-01-01", [good("o2"), b"broken"]))
    assert lake.double.faults == []
    assert (lake.ids(), len(lake.quarantine()), len(lake.double.jobs)) == (["o2"], 1, 3)


@pytest.mark.parametrize("reason", ["rateLimitExceeded", "backendError", "internalError"])
def test_a_job_that_failed_by_a_bad_moment_is_followed_by_another(lake: Lake, reason: str) -> None:
    lake.double.failing = [reason]
    lake.publish(lake.made("2026-01-01", [good("o1")]))
    assert lake.ids() == ["o1"]
    assert [job_id[-2:] for job_id in lake.double.jobs] == ["-1", "-2"]


def test_a_load_that_bigquery_refuses_keeps_old_rows_and_is_one_sentence(lake: Lake) -> None:
    both = "2026-01-01", "2026-01-02"
    lake.publish(*(lake.made(day, [good("old", day)]) for day in both))
    again = [lake.made(day, [good("new", day)]) for day in both]
    lake.double.failing = ["quotaExceeded"]
    with pytest.raises(
        LakeError, match=r"^orders \(2026-01-0[12]\) was not published: BigQuery refuses it, check .*up"
    ):
        lake.publish(*again)
    assert sorted(lake.ids()) == ["new", "old"]
    lake.publish(*again)
    assert lake.ids() == ["new", "new"]


def test_a_crash_between_the_two_tables_is_repaired_by_the_next_publish(lake: Lake) -> None:
    lake.publish(lake.made("2026-01-01", [good("o1")]))
    output = lake.made("2026-01-01", [good("o2"), b"broken"])
    unpublished = replace(output, good_files=("gs://lake/none.parquet",))
    with pytest.raises(LakeError, match="Not found: URI"):
        lake.publish(unpublished)
    assert lake.warehouse.window_rows(ORDERS) == {"2026-01-01": (1, 1)}
    assert lake.ids() == ["o1"]
    lake.publish(output)
    assert (lake.ids(), len(lake.quarantine())) == (["o2"], 1)


def test_a_row_that_has_strayed_into_another_window_is_refused(lake: Lake) -> None:
    with pytest.raises(LakeError, match="different partitions"):
        lake.publish(replace(lake.made("2026-01-01", [good("o1")]), window="2026-01-02"))


def test_a_missing_table_is_reported_with_the_command_that_creates_it(lake: Lake) -> None:
    with pytest.raises(LakeError, match=r"no table ticks_staging\.ticks: make it with `lake apply`"):
        lake.publish(lake.made("2026-01-01-05:00", [b"broken"], HOURLY), asset=HOURLY)


def test_a_service_that_stays_away_is_unavailable(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake_assets.gcp._RETRY_SECONDS", 0.1)
    faults: list[tuple[str, Fault]] = [("jobs.query", "unavailable")] * 20
    lake.double.faults = faults
    with pytest.raises(Unavailable, match="BigQuery does not answer, try again later"):
        lake.warehouse.window_rows(ORDERS)
    assert len(faults) > 15


def test_tables_are_created_once_with_all_parts_of_the_contract(lake: Lake) -> None:
    described = replace(
        HOURLY, description="Ticks.", fields=(Field("id", FieldType("integer"), description="Its id."),)
    )
    asset = replace(described, key=("id",))
    expected = ["create dataset ticks_staging", "create table ticks_staging.ticks"]
    expected += ["create table ticks_staging.ticks_quarantine"]
    assert lake.warehouse.missing(asset) == expected
    assert lake.warehouse.ensure(asset) == expected
    assert lake.warehouse.missing(asset) == lake.warehouse.ensure(asset) == []
    staging = lake.double.tables["ticks_staging", "ticks"]
    assert staging["description"] == "Ticks."
    assert staging["timePartitioning"] == {"type": "HOUR", "field": "_window"}
    assert staging["clustering"] == {"fields": ["id"]}
    assert staging["schema"]["fields"][0] == {
        "name": "id", "type": "INTEGER", "mode": "NULLABLE", "description": "Its id."
    }  # fmt: skip
    assert lake.double.datasets["ticks_staging"]["location"] == LOCATION


def test_a_new_dataset_is_closed_to_holders_of_roles_in_the_project(lake: Lake) -> None:
    access = lake.double.datasets["orders_staging"]["access"]
    assert [entry["role"] for entry in access] == ["OWNER", "OWNER"]
    access.append({"role": "READER", "specialGroup": "projectReaders"})
    expected = ["close dataset orders_staging to the project's other members"]
    assert lake.warehouse.missing(ORDERS) == lake.warehouse.ensure(ORDERS) == expected
    assert len(lake.double.datasets["orders_staging"]["access"]) == 2


def test_a_new_field_and_a_wider_decimal_do_not_recreate_tables(lake: Lake) -> None:
    lake.publish(lake.made("2026-01-01", [good("o1")]))
    fields = tuple(replace(f, type=FieldType("decimal", 38, 2)) if f.name == "amount" else f for f in ORDERS.fields)
    wider = replace(ORDERS, fields=(Field("note", FieldType("string"), required=True, description="New."), *fields))
    expected = [
        "add column orders_staging.orders.note STRING",
        "widen column orders_staging.orders.amount to BIGNUMERIC(38, 2)",
    ]
    assert lake.warehouse.missing(wider) == expected
    assert lake.warehouse.ensure(wider) == expected
    assert lake.warehouse.ensure(wider) == []
    payload = good("o2", "2026-01-02").replace(b'"more": "unknown"', b'"note": "hello"')
    lake.publish(lake.made("2026-01-02", [payload], wider), asset=wider)
    assert [(row["order_id"], row["note"]) for row in lake.staging()] == [("o1", None), ("o2", "hello")]


def test_a_column_that_left_the_contract_stays_and_is_null_in_new_windows(lake: Lake) -> None:
    lake.publish(lake.made("2026-01-01", [good("o1")]))
    fewer = replace(ORDERS, fields=tuple(field for field in ORDERS.fields if field.name != "region"))
    assert lake.warehouse.missing(fewer) == []
    lake.publish(lake.made("2026-01-02", [good("o2", "2026-01-02")], fewer), asset=fewer)
    assert [row["region"] for row in lake.staging()] == ["north", None]


def test_descriptions_and_policy_tags_follow_the_contract(lake: Lake) -> None:
    tag = "projects/lake-test/locations/eu/taxonomies/1/policyTags/2"
    first = replace(ORDERS.fields[0], description="Its number.", classification="personal")
    asset = replace(ORDERS, description="All orders.", fields=(first, *ORDERS.fields[1:]))
    warehouse = BigQuery(replace(lake.settings, gcp=Gcp(PROJECT, LOCATION, (("personal", tag),))))
    assert warehouse.ensure(asset) == [
        "describe column orders_staging.orders.order_id",
        "describe table orders_staging.orders",
        *(f"describe column orders_staging.orders_quarantine.{name}" for name in ("key", "payload", "errors")),
    ]
    assert warehouse.missing(asset) == []
    staging, quarantine = (lake.double.tables["orders_staging", name] for name in ("orders", "orders_quarantine"))
    assert staging["schema"]["fields"][0] == {
        "name": "order_id", "type": "STRING", "mode": "NULLABLE", "description": "Its number.",
        "policyTags": {"names": [tag]},
    }  # fmt: skip
    tagged = [field["name"] for field in quarantine["schema"]["fields"] if "policyTags" in field]
    assert tagged == ["key", "payload"]
    (errors,) = (field for field in quarantine["schema"]["fields"] if field["name"] == "errors")
    assert [part["name"] for part in errors["fields"] if "policyTags" in part] == ["value"]
    before = json.dumps([staging["schema"], quarantine["schema"]])
    warehouse.replace_windows(asset, [lake.made("2026-01-01", [good("o1"), b"bad"], asset)])
    # Settings without tags, as those of the load function, load into the same tables.
    lake.publish(lake.made("2026-01-01", [good("o2"), b"bad"], asset))
    assert json.dumps([staging["schema"], quarantine["schema"]]) == before
    assert lake.ids() == ["o2"]


def test_policy_tags_are_set_and_read_by_those_who_may(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    tag = "projects/lake-test/locations/eu/taxonomies/1/policyTags/2"
    asset = replace(ORDERS, fields=(replace(ORDERS.fields[0], classification="personal"), *ORDERS.fields[1:]))
    tagging = BigQuery(replace(lake.settings, gcp=Gcp(PROJECT, LOCATION, (("personal", tag),))))
    tagging.ensure(asset)
    tagging.replace_windows(asset, [lake.made("2026-01-01", [good("o1"), b"bad"], asset)])
    assert tagging.rows(asset, "staging", ["2026-01-01"], ["order_id"]).num_rows == 1
    granted = google_permissions()["orchestrator"]
    none = {**granted, "taxonomy": frozenset[str](), "policy_tag": frozenset[str]()}
    monkeypatch.setattr(bigquery, "google_permissions", lambda: {"orchestrator": none})
    with pytest.raises(LakeError, match="may not read order_id"):
        tagging.rows(asset, "staging", ["2026-01-01"], ["order_id"])
    with pytest.raises(LakeError, match="permission to get taxonomy"):
        tagging.ensure(replace(asset, description="All orders."))
    # A publication needs neither: it reads no tagged column, and its loads name no tag.
    tagging.replace_windows(asset, [lake.made("2026-01-01", [good("o2"), b"bad", b"worse"], asset)])
    tagging.replace_windows(asset, [lake.made("2026-01-01", [good("o3")], asset)])
    assert (lake.ids(), lake.quarantine()) == (["o3"], [])


def test_a_change_of_another_program_is_not_overwritten(lake: Lake) -> None:
    """Two releases apply their contracts at once, and the answer to one of them is lost besides."""
    one, other = (replace(ORDERS, fields=(*ORDERS.fields, Field(n, FieldType("string")))) for n in ("one", "other"))
    lake.double.faults = [("tables.patch", "answer lost")]
    lake.double.meanwhile = lambda: BigQuery(lake.settings).ensure(other)
    lake.warehouse.ensure(one)
    assert lake.warehouse.missing(one) == lake.warehouse.missing(other) == []


@pytest.mark.parametrize("variable", ["LAKE_GCP_PROJECT", "LAKE_GCP_LOCATION"])
def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    for name, value in {"TARGET": "gcp", "GCP_PROJECT": PROJECT, "GCP_LOCATION": LOCATION}.items():
        monkeypatch.setenv(f"LAKE_{name}", value)
    monkeypatch.delenv(variable)
    with pytest.raises(SettingsError, match=f"'gcp' needs {variable}"):
        load_settings()


@pytest.mark.parametrize("tags", ["secret=projects/p/x", "personal", "personal=2"])
def test_a_policy_tag_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tags: str) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKE_GCP_POLICY_TAGS", tags)
    with pytest.raises(SettingsError, match="LAKE_GCP_POLICY_TAGS has"):
        load_settings()


def test_the_target_gcp_is_served_by_bigquery_and_wants_a_bucket_there(lake: Lake) -> None:
    assert isinstance(warehouse_for(lake.settings), BigQuery)
    with pytest.raises(SettingsError, match="BigQuery cannot read file:///lake: set LAKE_BUCKET to a gs:// URL"):
        warehouse_for(replace(lake.settings, bucket="file:///lake"))


def test_a_window_is_removed_from_the_one_table_that_is_named(lake: Lake) -> None:
    bad = b'{"order_id": "far-too-long"}'
    lake.publish(*(lake.made(day, [good("a", day), bad]) for day in ("2026-01-01", "2026-01-02")))
    lake.warehouse.remove_windows(ORDERS, "staging", ["2026-01-01"])
    lake.warehouse.remove_windows(ORDERS, "quarantine", ["2026-01-02"])
    assert lake.warehouse.window_rows(ORDERS) == {"2026-01-01": (0, 1), "2026-01-02": (1, 0)}
    lake.warehouse.remove_windows(ORDERS, "staging", [])
    assert len(lake.staging()) == 1


def test_windows_of_more_partitions_than_a_job_changes_are_removed(lake: Lake) -> None:
    lake.warehouse.ensure(HOURLY)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    windows = [window_key(first + timedelta(hours=hour), "hour") for hour in range(4_001)]
    lake.double.calls.clear()
    lake.warehouse.remove_windows(HOURLY, "staging", windows)
    assert lake.double.calls == ["jobs.query", "jobs.query"]
