"""A contract's life: a draft changes as it likes, an active one keeps its word, an asset is taken out whole."""

import json
import signal
from dataclasses import replace
from pathlib import Path, PurePath

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from psycopg.sql import SQL, Identifier

from lake_assets.bucket import local_path
from lake_assets.catalog.parse import parse_contract
from lake_assets.compile.raw_table import raw_table
from lake_assets.landing.broker import admin
from lake_assets.landing.connect import connector_status
from lake_assets.landing.raw_tables import raw_location
from lake_assets.landing.topics import offsets
from lake_assets.ledger.ledger import Ledger
from lake_assets.orchestration.instance import open_instance
from lake_assets.orchestration.keys import conformed_key, quarantine_key, raw_key, staging_key, topic_key
from tests.end_to_end.conftest import Lake
from tests.support.conditions import wait_until
from tests.support.killed_removal import STEPS
from tests.support.warm_processes import run_module

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: depot.NAME
name: NAME
version: 1.0.0
status: draft
domain: depot
description: {purpose: One row per parcel.}
team: {name: depot, members: [{username: depot@example.com, role: owner}]}
customProperties:
  - {property: landing, value: {eventTime: came_at, window: day, start: 2026-01-01, partitions: 2}}
schema:
  - name: NAME
    properties:
      - {name: parcel_id, logicalType: string, required: true, primaryKey: true}
      - {name: weight, logicalType: integer}
      - {name: came_at, logicalType: timestamp, required: true}
"""
MART = "select weight, count(*) as parcels from {{ ref('stg_parcels') }} group by weight\n"


def write(lake: Lake, name: str, *changes: tuple[str, str]) -> None:
    text = CONTRACT.replace("NAME", name)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    lake.contract(name).write_text(text, "utf-8")


def send(lake: Lake, name: str, first: int, day: str, count: int = 3) -> None:
    events = [
        {"parcel_id": f"p{number}", "weight": number, "came_at": f"{day}T10:00:00Z"}
        for number in range(first, first + count)
    ]
    lake.ok("produce", name, "-", "--format", "jsonl", stdin="\n".join(map(json.dumps, events)))


def weights(lake: Lake, name: str) -> list[object]:
    rows = lake.staging(f"select weight from {name}_staging.{name} order by all")
    return [row["weight"] for row in rows]


PARTS = {"topic", "group", "ledger", "no records", "files", "models", "Dagster", "windows", "copy", "raw"}
ACTIVE = ("status: draft", "status: active")
TEXT = ("weight, logicalType: integer", "weight, logicalType: string")


def test_a_draft_changes_as_it_likes_until_it_is_active(lake: Lake) -> None:
    write(lake, "parcels")
    assert "parcels is a draft" in lake.ok("apply").out
    send(lake, "parcels", 1, "2026-02-01")
    send(lake, "parcels", 4, "2026-02-02")
    lake.ok("run")
    assert weights(lake, "parcels") == [1, 2, 3, 4, 5, 6]
    write(lake, "parcels", TEXT)
    steps = [(step["kind"], step["action"], step["detail"]) for step in lake.changes() if step["name"] == "parcels"]
    assert ("staging", "rebuild", "new tables, rebuilt from raw, because it is a draft") in steps
    assert ("windows", "rebuild", "2 windows, 2026-02-01 to 2026-02-02") in steps
    # What the plan does not list stays alone.
    assert "connector" not in lake.ok("apply").err
    assert lake.changes() == []
    assert weights(lake, "parcels") == []
    assert lake.ok("run", "--json").json["published"] == {"parcels": ["2026-02-01", "2026-02-02"]}
    assert weights(lake, "parcels") == ["1", "2", "3", "4", "5", "6"]
    assert lake.audit("parcels")["in_balance"]
    write(lake, "parcels", TEXT, ACTIVE)
    assert "is a draft" not in lake.ok("apply").out
    write(lake, "parcels", ACTIVE)
    refused = lake("apply")
    assert refused.code == 2
    assert "major version" in refused.err
    # Raw is cut by the day, and its windows cannot be split.
    write(lake, "parcels", TEXT, ("window: day", "window: hour"))
    refused = lake("plan")
    assert refused.code == 2
    assert "lake remove parcels --keep topic" in refused.err
    write(lake, "parcels", TEXT, ACTIVE)


def test_tables_without_rows_change_in_any_way(lake: Lake) -> None:
    write(lake, "crates", ACTIVE)
    lake.ok("apply")
    write(lake, "crates", ACTIVE, TEXT, ("window: day", "window: hour"))
    steps = {(step["kind"], step["action"]) for step in lake.changes() if step["name"].endswith("crates")}
    assert {("staging", "rebuild"), ("raw table", "rebuild")} <= steps
    lake.ok("apply")
    assert lake.changes() == []
    send(lake, "crates", 1, "2026-02-01", 2)
    assert lake.ok("run", "--json").json["published"] == {"crates": ["2026-02-01-10:00"]}
    assert weights(lake, "crates") == ["1", "2"]


def group_offsets(lake: Lake, topic: str) -> dict[int, int]:
    """Committed offsets of the domain's sink, by partition."""
    wanted = [ConsumerGroupTopicPartitions("connect-raw-depot", [TopicPartition(topic, p) for p in range(2)])]
    client = admin(lake.settings)  # without a name it would end before it has an answer
    (future,) = client.list_consumer_group_offsets(wanted).values()
    return {one.partition: one.offset for one in future.result().topic_partitions if one.offset >= 0}


def rows_of_the_ledger(lake: Lake, name: str) -> dict[str, int]:
    with Ledger(lake.settings) as ledger:
        tables = ledger.connection.execute(
            "select table_name::text, column_name::text from information_schema.columns where table_schema = 'ledger' "
            "and column_name in ('asset', 'dataset') and table_name <> 'removed_asset'"
        ).fetchall()
        query = SQL("select count(*) from ledger.{} where {} = %s")
        counts = {
            names: ledger.connection.execute(query.format(*map(Identifier, names)), (name,)).fetchone()
            for names in tables
        }
    return {".".join(names): row[0] for names, row in counts.items() if row and row[0]}


def remains(lake: Lake, name: str) -> dict[str, object]:
    """Return everything that a lake has of an asset of the domain, by part, except its contract's file."""
    settings = replace(lake.settings, catalog=lake.folder / "catalog", dbt_project=lake.folder / "dbt")
    topic = f"depot.{name}"
    asset = parse_contract(CONTRACT.replace("NAME", name), PurePath(f"{name}.yaml"))
    files = [path for path in Path(local_path(settings.bucket)).rglob("*") if path.is_file() and name in str(path)]
    models = [path for path in (settings.dbt_project / "models" / "staging").rglob("*") if name in path.name]
    with Ledger(settings) as ledger:
        no_records = ledger.connection.execute("select * from ledger.no_record where topic = %s", (topic,)).fetchall()
    with open_instance(settings) as instance:
        keys = [conformed_key(asset), staging_key(asset), quarantine_key(asset), raw_key(asset), topic_key(asset)]
        known = [key.to_user_string() for key in keys if instance.has_asset_key(key)]
        windows = list(instance.get_dynamic_partitions(f"{name}.windows"))
    kept: dict[str, object] = {
        "topic": offsets(settings, [topic]),
        "group": group_offsets(lake, topic),
        "ledger": rows_of_the_ledger(lake, name),
        "no records": no_records,
        "files": sorted(files),
        "models": sorted(models),
        "Dagster": known,
        "windows": windows,
        "copy": [one.name for one in (settings.home / "applied" / "assets").glob(f"{name}.yaml")],
        "raw": raw_location(settings, raw_table(asset)),
    }
    return {part: found for part, found in kept.items() if found}


def note_erasure_and_gap(lake: Lake, name: str) -> None:
    """Record what the removal of an asset takes along of its dataset and of its topic."""
    with Ledger(lake.settings) as ledger:
        ledger.connection.execute(
            "with one as (insert into ledger.receipt (dataset, fields, hash, checksum, sequence, files, done_at) "
            "values (%s, '{}', 'h', 'c', 1, '{}', now()) returning id) "
            "insert into ledger.forgotten_window select id, '2026-02-01', 0, 0, 0 from one",
            (name,),
        )
        ledger.connection.execute("insert into ledger.no_record values (%s, 0, 900, 901)", (f"depot.{name}",))


def test_what_a_mart_reads_is_not_removed_and_does_not_become_a_draft(lake: Lake) -> None:
    marts = lake.folder / "dbt" / "models" / "marts" / "depot_data_mart"
    marts.mkdir()
    (marts / "parcels_by_weight.sql").write_text(MART, "utf-8")
    plan = lake.ok("remove", "parcels", "--json").json
    assert plan["readers"] == ["model depot_data_mart.parcels_by_weight"]
    answer = lake("remove", "parcels", "--confirm", plan["checksum"])
    assert answer.code == 2
    assert "read by model depot_data_mart.parcels_by_weight" in answer.err
    write(lake, "parcels", TEXT)
    answer = lake("apply")
    assert answer.code == 2
    assert "cannot become a draft" in answer.err
    write(lake, "parcels", TEXT, ACTIVE)
    (marts / "parcels_by_weight.sql").unlink()
    marts.rmdir()
    assert lake.changes() == []
    assert weights(lake, "parcels") != []


def test_a_removal_killed_after_each_step_is_finished_and_leaves_nothing(lake: Lake) -> None:
    note_erasure_and_gap(lake, "parcels")
    note_erasure_and_gap(lake, "crates")
    assert remains(lake, "parcels").keys() == PARTS
    other = remains(lake, "crates"), weights(lake, "crates")
    assert other[0].keys() == PARTS
    checksum = lake.ok("remove", "parcels", "--json").json["checksum"]
    assert lake("remove", "parcels", "--confirm", "0" * 12).code == 2
    assert weights(lake, "parcels") != []
    for step in STEPS:
        died = run_module("tests.support.killed_removal", "parcels", checksum, step, environment=lake.environment)
        assert died.returncode == -signal.SIGKILL, (step, died.stderr.decode())
    unfinished = lake("apply")
    assert unfinished.code == 2
    assert f"lake remove parcels --confirm {checksum}" in unfinished.err
    assert any("unfinished" in removal for removal in lake("status", "--json").json["removals"])
    assert "is kept: delete it" in lake.ok("remove", "parcels", "--confirm", checksum).out
    lake.contract("parcels").unlink()
    assert lake.changes() == []
    assert remains(lake, "parcels") == {}
    assert (remains(lake, "crates"), weights(lake, "crates")) == other
    assert list(offsets(lake.settings, ["control-depot"])) == ["control-depot"]
    with Ledger(lake.settings) as ledger:  # what a gap beyond the topic's end would hide from a run
        ledger.connection.execute("delete from ledger.no_record where topic = 'depot.crates'")
    # The other asset of the domain goes on.
    send(lake, "crates", 3, "2026-02-03", 2)
    assert lake.ok("run", "--json").json["published"] == {"crates": ["2026-02-03-10:00"]}
    assert lake.ok("audit", "crates").code == 0
    write(lake, "parcels")
    lake.ok("apply")
    send(lake, "parcels", 7, "2026-02-05", 1)
    assert lake.ok("run", "--json").json["published"] == {"parcels": ["2026-02-05"]}
    assert weights(lake, "parcels") == [7]
    assert lake.audit("parcels")["in_balance"]


def test_a_kept_topic_is_read_again_from_its_beginning(lake: Lake) -> None:
    write(lake, "parcels", ("window: day", "window: hour"))
    checksum = lake.ok("remove", "parcels", "--keep", "topic", "--json").json["checksum"]
    lake.ok("remove", "parcels", "--keep", "topic", "--confirm", checksum)
    lake.ok("apply")
    assert lake.ok("run", "--json").json["published"] == {"parcels": ["2026-02-05-10:00"]}
    assert weights(lake, "parcels") == [7]
    assert lake.audit("parcels")["in_balance"]


def test_the_last_asset_of_a_domain_takes_its_connector_along(lake: Lake) -> None:
    lake.contract("crates").unlink()
    assert "crates" in lake("status", "--json").json["unapplied"]["missing"]
    for name, keep in (("crates", ()), ("parcels", ("--keep", "raw"))):
        checksum = lake.ok("remove", name, *keep, "--json").json["checksum"]
        lake.ok("remove", name, *keep, "--confirm", checksum)
    # Connect answers a deletion before it forgets the state.
    wait_until(lambda: connector_status(lake.settings, "raw-depot") is None)
    # Raw, which was kept, knows the control topic's offsets.
    assert list(offsets(lake.settings, ["control-depot", "depot.crates", "depot.parcels"])) == [
        "control-depot",
        "depot.parcels",
    ]
    lake.ok("apply")
    assert lake.ok("run", "--json").json["published"] == {"parcels": ["2026-02-05-10:00"]}
    send(lake, "parcels", 8, "2026-02-05", 1)
    lake.ok("run")
    assert weights(lake, "parcels") == [7, 8]
    audit = lake.audit("parcels")
    assert audit["in_balance"]
    # What had landed before is not landed again.
    assert [window["raw"] for window in audit["windows"]] == [2]
    checksum = lake.ok("remove", "parcels", "--json").json["checksum"]
    lake.ok("remove", "parcels", "--confirm", checksum)
    lake.contract("parcels").unlink()
    assert offsets(lake.settings, ["control-depot", "depot.parcels"]) == {}
    assert lake.changes() == []
