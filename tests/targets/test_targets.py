"""The example's assets from the topic to the marts, on each cloud's warehouse: a double, or a real account."""

import os
import re
import subprocess
import sys
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import pytest

from lake_assets.demo.generator import expected, generate
from lake_assets.settings import PROJECT, Settings
from tests.buckets.conftest import make_lake
from tests.end_to_end.conftest import Lake
from tests.support.buckets import Bucket
from tests.support.cloud_account import in_account
from tests.support.cloud_lakes import CLOUDS
from tests.support.conditions import COMMAND_SECONDS, wait_until
from tests.support.connect_api import SMOKE, ask
from tests.support.erasures import files_holding

END = datetime(2026, 9, 1, tzinfo=UTC)
DAYS, SEED = 5, 11
LATE = b"""
{"order_id": "late-1", "region": "north", "product": "mug", "quantity": 1, "amount": "12.50", "voucher": "SPRING",
"ordered_at": "2026-08-29T10:00:00Z"}
""".replace(b"\n", b"")
PLACES = {**CLOUDS, "account": in_account}
ROWS = {"leads": 200, "contracts": 40, "sales": 300}


@pytest.fixture(scope="module", params=("account",) if SMOKE in os.environ else CLOUDS)
def lake(request: pytest.FixtureRequest, stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Generator[Lake]:
    """A lake in a cloud, applied, with the example's events in its marts."""
    folder = tmp_path_factory.mktemp(request.param)
    with PLACES[request.param](stack, folder / "double") as cloud:
        made = make_lake(stack, folder, request.param, Bucket(cloud.settings.bucket, cloud.environment), tuple(ROWS))
        made.ok("apply")
        sinks = hurry(made)
        for name, rows in ROWS.items():
            send(made, name, b"\n".join(generate(name, rows, SEED, END, DAYS)))
        made.ok("run")
        yield made
        for name in sinks:
            ask(made.settings, "DELETE", f"/connectors/{name}")


def hurry(lake: Lake) -> list[str]:
    """The names of the lake's sinks, which commit as on one machine then: a cloud's minutes are long for a test."""
    scheme = lake.folder.name.rstrip("0123456789")
    names = [name for name in ask(lake.settings, "GET", "/connectors").json() if name.endswith(scheme)]
    for name in names:
        config = ask(lake.settings, "GET", f"/connectors/{name}/config").json()
        soon = {**config, "iceberg.control.commit.interval-ms": "1000", "tasks.max": "1"}
        ask(lake.settings, "PUT", f"/connectors/{name}/config", soon)
    return names


def send(lake: Lake, asset: str, lines: bytes) -> None:
    lake.ok("produce", asset, "-", "--format", "jsonl", stdin=lines)


def test_every_event_is_accounted_for(lake: Lake) -> None:
    for name, rows in ROWS.items():
        wanted, found = expected(name, rows, SEED, END, DAYS), lake.audit(name)
        assert found["in_balance"]
        assert sum(window["good"] for window in found["windows"]) == wanted.good
        counted = {row["code"]: row["rows"] for row in lake.ok("quarantine", name, "--json").json}
        assert counted == dict(wanted.quarantined)


def test_marts_are_made_of_staging(lake: Lake) -> None:
    [sales] = lake.staging("select sum(orders) as orders, sum(amount) as amount from sales_data_mart.sales")
    [staged] = lake.staging("select count(*) as orders, sum(amount) as amount from sales_staging.sales")
    assert sales == staged
    assert sales["orders"] == expected("sales", ROWS["sales"], SEED, END, DAYS).good
    [funnel] = lake.staging("select sum(leads) as leads, sum(contracts) as contracts from funnel_data_mart.funnel")
    assert funnel["leads"] == expected("leads", ROWS["leads"], SEED, END, DAYS).good
    assert funnel["contracts"] == expected("contracts", ROWS["contracts"], SEED, END, DAYS).good


def test_what_is_applied_is_not_planned_again(lake: Lake) -> None:
    planned = lake.ok("plan", "--json").json
    assert [step for step in planned if step["kind"] != "connector"] == []


def test_a_new_field_is_in_staging_and_a_late_event_changes_one_window(lake: Lake) -> None:
    before = {window["window"]: window["good"] for window in lake.audit("sales")["windows"]}
    contract = lake.contract("sales")
    text = re.sub(r"^version: 1.0.0", "version: 1.1.0", contract.read_text("utf-8"), flags=re.MULTILINE)
    field = "      - {name: voucher, logicalType: string, description: Code.}\n"
    contract.write_text(re.sub(r"^    quality:", rf"{field}    quality:", text, flags=re.MULTILINE), "utf-8")
    lake.ok("apply")
    hurry(lake)
    send(lake, "sales", LATE)
    lake.ok("run")
    found = lake.audit("sales")
    assert found["in_balance"]
    after = {window["window"]: window["good"] for window in found["windows"]}
    assert after == {**before, "2026-08-29": before["2026-08-29"] + 1}
    query = "select order_id, voucher from sales_staging.sales where voucher is not null"
    assert lake.staging(query) == [{"order_id": "late-1", "voucher": "SPRING"}]


def test_quarantined_events_enter_staging_when_their_contract_is_fixed(lake: Lake) -> None:
    refused = {row["code"]: row["rows"] for row in lake.ok("quarantine", "leads", "--json").json}
    contract = lake.contract("leads")
    text = contract.read_text("utf-8").replace("version: 1.0.0", "version: 1.1.0")
    contract.write_text(text.replace("validValues: [web,", "validValues: [atlantis, web,"), "utf-8")
    lake.ok("apply")
    hurry(lake)
    output = lake.ok("replay", "leads", "--code", "enum").out
    assert refused["enum"] > 0
    assert f"leads: {refused['enum']} rows passed" in output
    assert "enum" not in {row["code"] for row in lake.ok("quarantine", "leads", "--json").json}
    assert lake.audit("leads")["in_balance"]


def test_a_change_that_would_break_readers_is_refused(lake: Lake) -> None:
    contract = lake.contract("leads")
    before = contract.read_text("utf-8")
    lines = [line for line in before.splitlines() if "name: country" not in line]
    assert len(lines) < len(before.splitlines())
    contract.write_text("\n".join(lines) + "\n", "utf-8")
    try:
        refused = lake("apply")
    finally:
        contract.write_text(before, "utf-8")
    assert refused.code == 2
    assert "new major version" in refused.err


def test_a_person_is_forgotten_in_staging_marts_and_every_file(lake: Lake) -> None:
    [found] = lake.staging("select max(lead_id) as lead_id from leads_staging.leads")
    who = found["lead_id"]
    planned = lake.ok("forget", "leads", "-", "--json", stdin=who).json
    assert planned["rows"] > 0
    confirmed = lake.ok("forget", "leads", "-", "--confirm", planned["checksum"], "--json", stdin=who).json
    assert confirmed["done_at"] is not None
    assert lake.staging(f"select lead_id from leads_staging.leads where lead_id = '{who}'") == []
    audit = lake.audit("leads")
    assert audit["in_balance"]
    assert sum(window["forgotten"] for window in audit["windows"]) == planned["rows"]
    [funnel] = lake.staging("select sum(leads) as leads from funnel_data_mart.funnel")
    assert funnel["leads"] == sum(window["good"] for window in audit["windows"])
    # A deal names the lead that it came from; it is another asset's.
    assert [file for file in files_holding(lake.settings.bucket, who) if "contracts" not in file] == []


def test_a_metric_equals_staging_when_events_repeat_after_windows_closed(lake: Lake) -> None:
    name = f"sales_on_{lake.settings.postgres.dbname}"
    example = PROJECT / "lake_assets" / "catalog" / "metrics" / "sales_by_region.yaml"
    metric = lake.folder / "catalog" / "metrics" / f"{name}.yaml"
    metric.parent.mkdir()
    metric.write_text(example.read_text("utf-8").replace("name: sales_by_region", f"name: {name}"), "utf-8")
    lake.ok("apply")
    hurry(lake)

    def parity() -> dict[str, Any]:
        return lake.audit("sales")["metrics"][0]

    command = [sys.executable, "-m", "stream_app", name]
    with subprocess.Popen(command, env=dict(lake.environment), cwd=PROJECT) as counting:
        try:
            wait_until(lambda: not parity()["waiting"], every=COMMAND_SECONDS)
            send(lake, "sales", b"\n".join(generate("sales", ROWS["sales"], SEED, END, DAYS)))
            lake.ok("run")
            wait_until(lambda: not parity()["waiting"], every=COMMAND_SECONDS)
            found = parity()
        finally:
            counting.kill()
            ask(lake.settings, "DELETE", f"/connectors/metric-{name}")
    assert (found["agrees"], found["differing"]) == (True, [])
    assert found["cells"] > 100
