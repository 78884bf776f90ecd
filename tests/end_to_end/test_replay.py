"""`lake replay` at the command line, over a lake as its user has it."""

import json

import pytest

from tests.end_to_end.conftest import Lake

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: ops.stays
name: stays
version: 1.0.0
status: active
domain: ops
description: {purpose: One row per visit.}
team: {name: ops, members: [{username: ops@example.com, role: owner}]}
customProperties:
  - {property: landing, value: {eventTime: came_at, window: day, partitions: 2}}
schema:
  - name: stays
    properties:
      - {name: visit_id, logicalType: string, required: true, primaryKey: true, description: Number of the visit.}
      - {name: guests, logicalType: integer, description: How many., logicalTypeOptions: {maximum: 10}}
      - {name: came_at, logicalType: timestamp, required: true, description: When (UTC).}
"""


def visit(number: int, day: int, guests: object) -> str:
    return json.dumps({"visit_id": f"v{number}", "guests": guests, "came_at": f"2026-02-{day:02d}T10:00:00Z"})


@pytest.fixture(scope="module")
def visits(lake: Lake) -> Lake:
    lake.contract("stays").write_text(CONTRACT, "utf-8")
    lake.ok("apply")
    lines = [visit(1, 1, 1), visit(2, 1, 50), visit(3, 1, "many"), visit(4, 2, 99)]
    lake.ok("produce", "stays", "-", "--format", "jsonl", stdin="\n".join(lines))
    lake.ok("run")
    return lake


def test_a_replay_after_a_contract_fix_reports_its_result_in_the_last_line(visits: Lake) -> None:
    text = visits.contract("stays").read_text("utf-8")
    visits.contract("stays").write_text(text.replace("maximum: 10", "maximum: 60"), "utf-8")
    visits.ok("apply")
    dry = visits.ok("replay", "stays", "--dry-run").out
    assert dry.strip().splitlines()[-1] == "stays: 3 rows in quarantine in 2 windows, 2026-02-01 to 2026-02-02."
    done = visits.ok("replay", "stays").out
    assert done.strip().splitlines()[-1] == (
        "stays: 1 rows passed, 2 still fail (1 range of guests, 1 type of guests)."
    )
    rows = visits.staging("select visit_id from stays_staging.stays order by all")
    assert [row["visit_id"] for row in rows] == ["v1", "v2"]
    assert visits.audit("stays")["in_balance"]
