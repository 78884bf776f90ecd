"""`lake maintain` at the command line, on a raw table that the real sink goes on writing to."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.end_to_end.conftest import Lake
from tests.support.part_faults import kill_part

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: ops.calls
name: calls
version: 1.0.0
status: active
domain: ops
description: {purpose: One row per call.}
team: {name: ops, members: [{username: ops@example.com, role: owner}]}
slaProperties: [{property: retention, element: raw, value: 30, unit: d}]
customProperties:
  - {property: landing, value: {eventTime: called_at, window: day, partitions: 2}}
schema:
  - name: calls
    properties:
      - {name: call_id, logicalType: string, required: true, primaryKey: true, description: Number of the call.}
      - {name: called_at, logicalType: timestamp, required: true, description: When (UTC).}
"""
NOW = datetime.now(UTC)
OLD = NOW - timedelta(days=60)


@pytest.fixture(scope="module")
def calls(lake: Lake) -> Lake:
    lake.contract("calls").write_text(CONTRACT, "utf-8")
    lake.ok("apply")
    send(lake, ["a", "b", "c"], OLD)
    send(lake, ["d", "e"], NOW)
    lake.ok("run")
    return lake


def send(lake: Lake, names: list[str], at: datetime) -> None:
    lines = [json.dumps({"call_id": name, "called_at": at.isoformat()}) for name in names]
    lake.ok("produce", "calls", "-", "--format", "jsonl", stdin="\n".join(lines))


def staged(lake: Lake) -> list[str]:
    return [row["call_id"] for row in lake.staging("select call_id from calls_staging.calls order by all")]


@pytest.mark.fault("Kafka Connect's worker is killed -9 after old snapshots have expired", "every event lands once")
def test_removed_rows_stay_accounted_for_and_the_sink_lands_nothing_twice(calls: Lake) -> None:
    planned = calls.ok("maintain", "--json").json
    [removal] = planned["removals"]
    assert (removal["asset"], removal["element"]) == ("calls", "raw")
    assert removal["rows"] == {f"{OLD:%Y-%m-%d}": 3}
    assert calls("maintain", "--confirm", "000000000000").code == 2
    assert calls.audit("calls")["windows"][0]["raw"] == 3, "another checksum removes nothing"
    calls.ok("maintain", "--confirm", planned["checksum"])
    assert "No windows have expired." in calls.ok("maintain").out
    assert "Removed by retention: raw" in calls.ok("why", "calls", f"{OLD:%Y-%m-%d}").out
    # After a crash the sink asks the table's snapshots how far it had come, and most of them have expired.
    kill_part(calls.settings, "connect")
    send(calls, ["f", "late"], NOW)
    send(calls, ["too late"], OLD)
    calls.ok("run")
    assert staged(calls) == ["a", "b", "c", "d", "e", "f", "late"]
    audit = calls.audit("calls")
    assert audit["in_balance"]
    old, new = audit["windows"]
    assert (old["removed"], old["late"], old["good"]) == (3, 1, 3)
    assert (new["raw"], new["good"], new["duplicates"]) == (4, 4, 0)
