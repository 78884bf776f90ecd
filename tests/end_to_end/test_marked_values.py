"""Places of a marked value that each confidential part of an event has: those that the documents name, no others."""

import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from confluent_kafka import Producer

from lake_assets.landing.broker import broker_options
from lake_assets.settings import PROJECT
from tests.end_to_end.conftest import Answer, Lake
from tests.support.conditions import wait_until
from tests.support.connect_api import remove_connectors
from tests.support.marked_values import files_with, tables_with, topic_offsets, topics_with

MARK = "Zmarked"
# Of protected fields, keys, headers and broken payloads: in the topic of the asset and in raw only.
SECRET = f"{MARK}-secret"
# Of fields that are classified and not protected: in staging, too.
PLAIN = f"{MARK}-plain"
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: shop.patrons
name: patrons
version: 1.0.0
status: active
domain: shop
description: {purpose: One row per visit of a patron.}
team: {name: shop, members: [{username: shop@example.com, role: owner}]}
slaProperties: [{property: frequency, value: 1, unit: h}]
customProperties:
  - {property: protection, value: {tokenise: [patron_no, email], drop: [phone]}}
  - {property: roster, value: {field: device}}
  - {property: landing, value: {eventTime: came_at, window: day, partitions: 1}}
schema:
  - name: patrons
    properties:
      - {name: patron_no, logicalType: string, required: true, primaryKey: true}
      - {name: email, logicalType: string, logicalTypeOptions: {pattern: '[^@ ]+@[^@ ]+'}}
      - {name: phone, logicalType: string}
      - {name: remark, logicalType: string, classification: confidential, logicalTypeOptions: {maxLength: 30}}
      - {name: limits, logicalType: string, classification: restricted}
      - {name: born, logicalType: date, classification: personal}
      - {name: home, logicalType: object, classification: personal}
      - {name: device, logicalType: string, required: true, classification: personal}
      - {name: region, logicalType: string, required: true, classification: internal}
      - {name: came_at, logicalType: timestamp, required: true}
"""
CHECK = """\
    quality:
      - {type: sql, name: numbers, query: "select max(cast(remark as integer)) from conformed", mustBe: 0}
"""
METRIC = """\
name: patrons_by_region
version: 1.0.0
description: Visits of each region and hour.
owners: [shop@example.com]
source: patrons
groupBy: [region]
window: 1h
lateness: 1h
measures:
  - {name: visits, function: count, description: "Visits."}
"""
MART = """\
models:
  - name: patrons
    description: Visits of each patron.
    columns:
      - {name: patron_no, data_type: varchar, description: The token of the patron.}
      - {name: visits, data_type: bigint, description: Visits., data_tests: [{accepted_range: {maximum: 0}}]}
"""
GOOD: Mapping[str, Any] = {
    "patron_no": f"{SECRET}-1", "email": f"{SECRET}@example.com", "phone": SECRET, "remark": PLAIN, "limits": PLAIN,
    "born": "1990-01-01", "home": {"street": PLAIN}, "device": PLAIN, "region": "north",
    "came_at": "2026-02-01T10:00:00Z", "unknown": PLAIN,
}  # fmt: skip


def events() -> list[bytes]:
    """One good event, and one for each way to be refused."""
    changes: list[dict[str, Any]] = [
        {},
        {"email": f"{SECRET} at example.com"},
        {"phone": {"number": SECRET}},
        {"remark": f"{SECRET} and longer than it may be"},
        {"limits": [PLAIN]},
        {"born": SECRET},
        {"home": PLAIN},
        {"patron_no": None, "email": SECRET},
        {"came_at": "yesterday"},
        {"region": None},
    ]
    texts = [json.dumps({**GOOD, **change, "patron_no": change.get("patron_no", f"{SECRET}-{number}")})
             for number, change in enumerate(changes)]  # fmt: skip
    return [*map(str.encode, texts), f"{SECRET} is no JSON".encode(), f'["{SECRET}"]'.encode(), texts[0].encode()]


def send(lake: Lake, payloads: list[bytes]) -> None:
    producer = Producer(broker_options(lake.settings))
    for payload in payloads:
        producer.produce("shop.patrons", payload, key=SECRET, headers=[(SECRET, SECRET.encode())])
    assert producer.flush(30) == 0


def counted(lake: Lake, table: str, where: str) -> int:
    with psycopg.connect(lake.settings.postgres.conninfo("lake")) as session:
        query = f"select count(*) from metrics.patrons_by_region_{table} where {where}"
        [(rows,)] = session.execute(query.encode()).fetchall()
    return rows


@dataclass
class Marked:
    """A lake, the offsets of its topics before its events were sent, and the answers of its commands."""

    lake: Lake
    before: dict[str, dict[int, tuple[int, int]]]
    answers: list[Answer] = field(default_factory=list[Answer])

    def command(self, *args: str, stdin: str | None = None) -> Answer:
        self.answers.append(answer := self.lake(*args, stdin=stdin))
        return answer


@pytest.fixture(scope="module")
def marked(lake: Lake) -> Generator[Marked]:
    """The lake after such events were landed, staged, quarantined, counted and late, and after its commands failed."""
    made, log = Marked(lake, topic_offsets(lake.settings)), lake.settings.home / "logs" / "patrons.log"
    mart = lake.folder / "dbt" / "models" / "marts" / "patrons_data_mart"
    metric = lake.folder / "catalog" / "metrics" / "patrons_by_region.yaml"
    with ExitStack() as after:
        after.callback(remove_connectors, lake.settings, "metric-patrons_by_region")
        after.callback(lake.unapply, "patrons")
        after.callback(metric.unlink)
        lake.contract("patrons").write_text(CONTRACT, "utf-8")
        metric.write_text(METRIC, "utf-8")
        mart.mkdir()
        after.callback(mart.rmdir)
        for name, text in (
            ("sql", "select patron_no, count(*) as visits from {{ ref('stg_patrons') }} group by 1\n"),
            ("yml", MART),
        ):
            (mart / f"patrons.{name}").write_text(text, "utf-8")
            after.callback((mart / f"patrons.{name}").unlink)
        made.answers.append(lake.ok("apply"))
        command = [sys.executable, "-m", "stream_app", "patrons_by_region"]
        with log.open("wb") as out:
            process = subprocess.Popen(command, env=dict(lake.environment), cwd=PROJECT, stdout=out, stderr=out)
        after.callback(process.wait, 10)
        after.callback(process.kill)
        later = {**GOOD, "patron_no": f"{SECRET}-later", "came_at": "2026-02-03T10:00:00Z"}
        send(lake, [*events(), json.dumps(later).encode()])
        wait_until(lambda: counted(lake, "shards", "is_final"))
        send(lake, [json.dumps({**GOOD, "patron_no": f"{SECRET}-late", "came_at": "2026-02-01T11:00:00Z"}).encode()])
        wait_until(lambda: counted(lake, "late", "true"))
        made.command("run")
        made.command("replay", "patrons", "--code", "pattern")
        made.command("replay", "patrons", "--where", "cast(remark as integer) > 1")
        made.command("forget", "patrons", f"email={SECRET}@example.org")
        made.command("forget", "patrons", stdin=f"{SECRET}-1\n")
        lake.contract("patrons").write_text(CONTRACT.replace("1.0.0", "1.1.0") + CHECK, "utf-8")
        made.answers.append(lake.ok("apply"))
        made.command("run")
        for args in (
            ["quarantine", "patrons"], ["quarantine", "patrons", "--json"], ["why", "patrons"],
            ["why", "patrons", "--json"], ["why", "patrons", "2026-02-01"], ["status"], ["status", "--json"],
            ["audit", "patrons"], ["audit", "patrons", "--json"], ["plan", "--json"], ["maintain"],
            ["sql", "select * from patrons_data_mart.patrons", "--as", "analyst", "--json"],
        ):  # fmt: skip
            made.command(*args)
        yield made


def test_marked_values_went_all_the_ways_they_should(marked: Marked) -> None:
    """Proof that the tests below look for values that were written."""
    lake = marked.lake
    assert any("numbers" in answer.out + answer.err and "Conversion Error" in answer.out + answer.err
               for answer in marked.answers)  # fmt: skip
    [staged] = lake.staging(
        f"select count(*) as rows, count(*) filter (where t::varchar like '%{PLAIN}%') as plain, "
        f"count(*) filter (where t::varchar like '%{SECRET}%') as secret from patrons_staging.patrons t"
    )
    assert (staged["rows"] == staged["plain"] > 2, staged["secret"]) == (True, 0)
    quarantine = "patrons_staging.patrons_quarantine t"
    [refused] = lake.staging(f"select count(*) as rows, count(*) filter (where t::varchar like '%{MARK}%') as marked "
                             f"from {quarantine}")  # fmt: skip
    assert (refused["rows"] > 7, refused["marked"]) == (True, 0)
    assert lake.mart("select count(*) from patrons_data_mart.patrons") > [(2,)]
    assert "shop.patrons" in topics_with(lake.settings, SECRET, marked.before)


def test_marked_values_are_in_no_answer_of_a_command(marked: Marked) -> None:
    assert [answer for answer in marked.answers if MARK in answer.out + answer.err] == []


def test_marked_values_are_in_no_topic_but_the_asset_s(marked: Marked) -> None:
    assert topics_with(marked.lake.settings, MARK, marked.before) == ["shop.patrons"]


def test_marked_values_are_in_no_file_but_staging_s(marked: Marked) -> None:
    files = files_with(marked.lake.settings.home, MARK)
    assert [file for file in files if not file.startswith(("bucket/conformed/", "bucket/staging/"))] == []
    assert files_with(marked.lake.settings.home, SECRET) == []


def test_marked_values_are_in_no_table_but_the_statistics_of_staging(marked: Marked) -> None:
    tables = tables_with(marked.lake.settings, MARK)
    assert [table for table in tables if not table.startswith("lake ducklake.")] == []
    assert tables_with(marked.lake.settings, SECRET) == []
