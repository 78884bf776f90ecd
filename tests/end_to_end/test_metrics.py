"""Metrics from their file to the database, and that speed and batch agree."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from datetime import UTC, datetime

import psycopg
import pytest

from lake_assets.demo.generator import generate
from lake_assets.settings import PROJECT
from tests.end_to_end.conftest import Lake
from tests.support.conditions import COMMAND_SECONDS, wait_until
from tests.support.connect_api import remove_connectors

END = datetime(2026, 7, 1, tzinfo=UTC)
SALES, LEADS, DAYS, SEED = 3_000, 1_000, 4, 11
BY_ORIGIN = """\
name: leads_by_origin
version: 1.0.0
description: Leads of each origin and hour.
owners: [growth@example.com]
source: leads
filter:
  - {field: origin, in: [web, referral]}
groupBy: [origin]
window: 1h
lateness: 1h
measures:
  - {name: leads, function: count, description: "Leads that came in."}
"""


@pytest.fixture(scope="module")
def counting(lake: Lake) -> Generator[Lake]:
    """The session's lake with a second metric, while an instance of each metric runs."""
    path = lake.folder / "catalog" / "metrics" / "leads_by_origin.yaml"
    with ExitStack() as after:
        after.callback(remove_connectors, lake.settings, "metric-leads_by_origin")
        after.callback(path.unlink, missing_ok=True)
        path.write_text(BY_ORIGIN, "utf-8")
        lake.ok("apply")
        for name in ("sales_by_region", "leads_by_origin"):
            command = [sys.executable, "-m", "stream_app", name]
            process = subprocess.Popen(command, env=dict(lake.environment), cwd=PROJECT)
            after.callback(process.wait, 10)
            after.callback(process.kill)
        send(lake)
        lake.ok("run")
        yield lake
        path.unlink()
        assert ("metrics.leads_by_origin", "end") in {(step["name"], step["action"]) for step in lake.changes("apply")}
        assert lake.changes() == []


def send(lake: Lake) -> None:
    for asset, rows in (("sales", SALES), ("leads", LEADS)):
        lines = b"\n".join(generate(asset, rows, SEED, END, DAYS))
        lake.ok("produce", asset, "-", "--format", "jsonl", stdin=lines)


def agreed(lake: Lake, asset: str) -> dict[str, object]:
    """The metric's part of the audit, once everything that was sent has been counted and has arrived."""

    def found() -> dict[str, object]:
        return lake("audit", asset, "--json").json[0]["metrics"][0]

    wait_until(lambda: not found()["waiting"] and arrived(lake), every=COMMAND_SECONDS)
    return found()


def arrived(lake: Lake) -> bool:
    """Return whether each event that staging has is in the database, counted or late."""
    counted = (
        "(select coalesce(sum(orders), 0) from metrics.sales_by_region_shards) "
        "+ (select count(*) from metrics.sales_by_region_late)"
    )
    good = "(select count(*) from sales_staging.sales)"
    [answer] = lake.staging(f"select {counted} >= {good} as arrived")
    return bool(answer["arrived"])


def test_final_windows_equal_staging_of_late_doubled_and_broken_events(counting: Lake) -> None:
    for asset in ("sales", "leads"):
        wait_until(lambda asset=asset: int(str(agreed(counting, asset)["cells"])) > 100, every=COMMAND_SECONDS)
        found = agreed(counting, asset)
        assert (found["agrees"], found["differing"]) == (True, [])


def test_events_sent_again_after_their_windows_closed_are_no_difference(counting: Lake) -> None:
    """The second sending replaces the first in staging; the metric has counted the first."""
    agreed(counting, "sales")
    send(counting)
    counting.ok("run")
    found = agreed(counting, "sales")
    assert (found["agrees"], found["differing"]) == (True, [])


def test_a_difference_is_reported_with_both_numbers_and_fails_the_audit(counting: Lake) -> None:
    agreed(counting, "sales")
    table = "metrics.sales_by_region_shards"
    one = f"ctid = (select ctid from {table} where is_final order by window_start desc, region, shard offset 3 limit 1)"
    with psycopg.connect(counting.settings.postgres.conninfo("lake"), autocommit=True) as session:
        text = f"update {table} set orders = orders + 1 where {one} returning region, orders, window_start, shard"
        ((region, orders, *rest),) = session.execute(text.encode()).fetchall()
        answer = counting("audit", "sales")
        # By its key, since more windows may be final by now.
        back = f"update {table} set orders = orders - 1 where region = %s and window_start = %s and shard = %s"
        assert session.execute(back.encode(), [region, *rest]).rowcount == 1
    assert answer.code == 1
    assert f"DIFFERS {region} at " in answer.out
    assert f"the metric has {orders} " in answer.out
    assert f"staging {orders - 1} " in answer.out
    assert counting("audit", "sales").code == 0


def test_analysts_read_the_view_and_not_what_it_is_made_of(counting: Lake) -> None:
    assert counting.mart("select count(*) from metrics.leads_by_origin")
    for table in ("sales_by_region_shards", "sales_by_region_late"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            counting.mart(f"select * from metrics.{table}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        counting.mart("delete from metrics.sales_by_region_shards")


def test_a_filter_leaves_out_what_is_not_named(counting: Lake) -> None:
    agreed(counting, "leads")
    origins = {origin for (origin,) in counting.mart("select distinct origin from metrics.leads_by_origin")}
    assert origins == {"web", "referral"}


def test_a_change_of_meaning_of_a_metric_needs_a_new_major_version(counting: Lake) -> None:
    path = counting.folder / "catalog" / "metrics" / "leads_by_origin.yaml"
    path.write_text(BY_ORIGIN.replace("window: 1h", "window: 1d"), "utf-8")
    refused = counting("plan")
    assert refused.code == 2
    assert "'leads_by_origin' changed" in refused.err
    path.write_text(BY_ORIGIN.replace("window: 1h", "window: 1d").replace("1.0.0", "2.0.0"), "utf-8")
    names = {step["name"] for step in counting.ok("plan", "--json").json}
    assert {"metrics.leads_by_origin_v2", "metric-leads_by_origin_v2", "metric-leads_by_origin_v2-changelog"} <= names
    path.write_text(BY_ORIGIN, "utf-8")
    assert counting.changes() == []


def test_a_row_with_a_lower_revision_does_not_come_back(counting: Lake) -> None:
    """A sink that was down writes again rows that it had read before."""
    table = "metrics.sales_by_region_shards"
    with psycopg.connect(counting.settings.postgres.conninfo("connect")) as session:
        old = session.execute(f"update {table} set orders = 999999, revision = revision - 1".encode())
        same = session.execute(f"update {table} set revision = revision".encode())
        assert (old.rowcount, same.rowcount > 0) == (0, True)


def test_a_typo_in_a_metric_is_reported_with_the_wrong_word(counting: Lake) -> None:
    path = counting.folder / "catalog" / "metrics" / "leads_by_origin.yaml"
    path.write_text(BY_ORIGIN.replace("groupBy: [origin]", "groupBy: [orign]"), "utf-8")
    answer = counting("plan")
    path.write_text(BY_ORIGIN, "utf-8")
    assert answer.code == 2
    assert "'orign' is not a field of leads. Did you mean 'origin'?" in answer.err
