"""The audit finds records that were really lost, and is not fooled by offsets that never held one."""

import json

import pytest
from confluent_kafka import Producer

from lake_assets.landing.broker import broker_options
from tests.end_to_end.conftest import Lake
from tests.support.conditions import wait_until
from tests.support.connect_api import ask

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {domain}.{name}
name: {name}
version: 1.0.0
status: active
domain: {domain}
description: {{purpose: One row per reading.}}
team: {{name: ops, members: [{{username: ops@example.com, role: owner}}]}}
customProperties:
  - {{property: landing, value: {{eventTime: taken_at, window: day, partitions: 1}}}}
schema:
  - name: {name}
    properties:
      - {{name: reading_id, logicalType: string, required: true, primaryKey: true, description: Number of the reading.}}
      - {{name: taken_at, logicalType: timestamp, required: true, description: When it was taken (UTC).}}
"""


def reading(number: int) -> bytes:
    return json.dumps({"reading_id": f"r{number}", "taken_at": "2026-03-01T10:00:00Z"}).encode()


def make(lake: Lake, domain: str, name: str) -> None:
    lake.contract(name).write_text(CONTRACT.format(domain=domain, name=name), "utf-8")
    lake.ok("apply")


def wait_for_state(lake: Lake, connector: str, state: str) -> None:
    path = f"/connectors/{connector}/status"
    wait_until(lambda: ask(lake.settings, "GET", path).json()["connector"]["state"] == state)


@pytest.mark.fault("the sink skips records", "the audit names topic, partition and offsets")
def test_records_that_the_sink_skipped_are_named_by_partition_and_offsets(lake: Lake) -> None:
    make(lake, "plant", "readings")
    lake.ok("produce", "readings", "-", "--format", "jsonl", stdin=b"\n".join(map(reading, range(10))))
    lake.ok("run")
    # The connector's offsets are moved past five records, as happens in a hurried repair.
    ask(lake.settings, "PUT", "/connectors/raw-plant/stop")
    wait_for_state(lake, "raw-plant", "STOPPED")
    lake.ok("produce", "readings", "-", "--format", "jsonl", stdin=b"\n".join(map(reading, range(10, 15))))
    offset = {"partition": {"kafka_topic": "plant.readings", "kafka_partition": 0}, "offset": {"kafka_offset": 15}}
    ask(lake.settings, "PATCH", "/connectors/raw-plant/offsets", {"offsets": [offset]})
    ask(lake.settings, "PUT", "/connectors/raw-plant/resume")
    lake.ok("produce", "readings", "-", "--format", "jsonl", stdin=reading(15))
    lake("run")
    answer = lake("audit", "readings")
    assert answer.code == 1
    assert "MISSING plant.readings[0] offsets 10 to 14: 5 records" in answer.out


def test_transaction_markers_and_aborted_records_are_no_gaps(lake: Lake) -> None:
    make(lake, "plant", "signals")
    producer = Producer(
        {
            **broker_options(lake.settings),
            "transactional.id": "test-signals",
            "transaction.timeout.ms": 300_000,
        }
    )
    producer.init_transactions()
    for number, commit in enumerate((True, False, True)):
        producer.begin_transaction()
        for place in range(3):
            producer.produce("plant.signals", reading(3 * number + place), timestamp=1772359200000)
        producer.flush()
        producer.commit_transaction() if commit else producer.abort_transaction()
    lake.ok("run")
    audit = lake.audit("signals")
    assert audit["in_balance"]
    (partition,) = audit["partitions"]
    # Six committed records; three aborted ones and two markers lie below the last of them.
    assert (partition["landed"], partition["no_record"], partition["under_way"]) == (6, 5, 0)
    # What stands in an open transaction may still become records: it is not noted as empty.
    producer.begin_transaction()
    for place in range(3):
        producer.produce("plant.signals", reading(9 + place), timestamp=1772359200000)
    producer.flush()
    assert lake.audit("signals")["partitions"] == [{**partition, "end": partition["end"] + 3}]
    producer.commit_transaction()
    lake.ok("run")
    (after,) = lake.audit("signals")["partitions"]
    assert (after["landed"], after["no_record"], after["under_way"], after["gaps"]) == (9, 6, 0, [])
