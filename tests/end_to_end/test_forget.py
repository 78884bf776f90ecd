"""`lake forget` at the command line, on a raw table that the real sink goes on writing to."""

import json
from datetime import UTC, datetime

from tests.end_to_end.conftest import Lake
from tests.support.part_faults import kill_part

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: ops.lodgers
name: lodgers
version: 1.0.0
status: active
domain: ops
description: {purpose: One row per guest.}
team: {name: ops, members: [{username: ops@example.com, role: owner}]}
customProperties:
  - {property: landing, value: {eventTime: came_at, window: day, partitions: 2}}
schema:
  - name: lodgers
    properties:
      - {name: guest_id, logicalType: string, required: true, primaryKey: true, description: Number of the guest.}
      - {name: came_at, logicalType: timestamp, required: true, description: When (UTC).}
"""
NOW = datetime.now(UTC)


def send(lake: Lake, *names: str) -> None:
    lines = [json.dumps({"guest_id": name, "came_at": NOW.isoformat()}) for name in names]
    lake.ok("produce", "lodgers", "-", "--format", "jsonl", stdin="\n".join(lines))


def test_after_an_erasure_the_sink_lands_nothing_twice_and_audits_balance(lake: Lake) -> None:
    lake.contract("lodgers").write_text(CONTRACT, "utf-8")
    lake.ok("apply")
    send(lake, "ann", "bob", "ann", "cy")
    send(lake, "ann", "dee")
    lake.ok("run")
    planned = lake.ok("forget", "lodgers", "ann", "--json").json
    assert (planned["rows"], planned["of"]) == (3, 6)
    assert any("still holds 3 of these events" in sentence for sentence in planned["out_of_reach"])
    assert lake("forget", "lodgers", "ann", "--confirm", "000000000000").code == 2
    receipt = lake.ok("forget", "lodgers", "ann", "--confirm", planned["checksum"], "--json").json
    assert (receipt["raw"], receipt["staging"], receipt["quarantine"]) == (3, 1, 0)
    assert (receipt["dataset"], "asset" in receipt) == ("lodgers", False)
    # After a crash the sink asks the table's snapshots how far it had come, and only the newest one is left.
    kill_part(lake.settings, "connect")
    send(lake, "eve", "bob")
    lake.ok("run")
    rows = lake.staging("select guest_id from lodgers_staging.lodgers order by all")
    assert [row["guest_id"] for row in rows] == ["bob", "cy", "dee", "eve"]
    audit = lake.audit("lodgers")
    assert audit["in_balance"]
    (window,) = audit["windows"]
    assert {name: window[name] for name in ("raw", "good", "duplicates", "forgotten")} == {
        "raw": 5, "good": 4, "duplicates": 1, "forgotten": 3,
    }  # fmt: skip
    assert "these events were erased on" in lake.ok("forget", "lodgers", "ann").out
