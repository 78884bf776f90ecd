"""`lake backfill` at the command line, over a lake as its user has it, with a mart behind the asset."""

import json
import shutil
from collections.abc import Generator
from datetime import datetime

import pytest

from tests.end_to_end.conftest import Lake

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: ops.nights
name: nights
version: 1.0.0
status: active
domain: ops
description: {purpose: One row per night.}
team: {name: ops, members: [{username: ops@example.com, role: owner}]}
customProperties:
  - {property: landing, value: {eventTime: came_at, window: day, partitions: 2}}
schema:
  - name: nights
    properties:
      - {name: night_id, logicalType: string, required: true, primaryKey: true, description: Number of the night.}
      - {name: guests, logicalType: integer, description: How many., logicalTypeOptions: {maximum: 10}}
      - {name: came_at, logicalType: timestamp, required: true, description: When (UTC).}
"""
MART = "select night_id, _loaded_at as loaded_at from {{ source('nights_staging', 'nights') }}\n"
MART_YAML = """\
models:
  - name: nights
    description: One row per night.
    config: {contract: {enforced: true}}
    columns:
      - {name: night_id, data_type: string, description: Number of the night.}
      - {name: loaded_at, data_type: timestamp with time zone, description: When it was made.}
"""


def night(number: int, day: int, guests: int) -> str:
    return json.dumps({"night_id": f"n{number}", "guests": guests, "came_at": f"2026-02-{day:02d}T10:00:00Z"})


@pytest.fixture(scope="module")
def nights(lake: Lake) -> Generator[Lake]:
    lake.contract("nights").write_text(CONTRACT, "utf-8")
    folder = lake.folder / "dbt" / "models" / "marts" / "nights_data_mart"
    folder.mkdir()
    (folder / "nights.sql").write_text(MART, "utf-8")
    (folder / "nights.yml").write_text(MART_YAML, "utf-8")
    lake.ok("apply")
    lines = [night(1, 1, 1), night(2, 1, 80), night(3, 2, 8), night(4, 3, 2)]
    lake.ok("produce", "nights", "-", "--format", "jsonl", stdin="\n".join(lines))
    lake.ok("run")
    lake.ok("apply")
    yield lake
    shutil.rmtree(folder)


def mart(lake: Lake) -> dict[str, datetime]:
    """Return the time when each night was built, as an analyst sees it."""
    return dict(lake.mart("select night_id, loaded_at from nights_data_mart.nights order by 1"))


def test_windows_are_rebuilt_on_confirmation_and_undone_with_their_marts(nights: Lake) -> None:
    before = mart(nights)
    assert list(before) == ["n1", "n3", "n4"]
    span = ("--from", "2026-02-01", "--to", "2026-02-02")

    declined = nights("backfill", "nights", *span, stdin="n\n")
    assert "nights: 2 windows, 2026-02-01 to 2026-02-02, 3 rows, " in declined.out
    assert "as in their last builds" in declined.out
    assert (declined.code, mart(nights)) == (1, before)

    done = nights.ok("backfill", "nights", *span, stdin="y\n")
    assert done.out.strip().splitlines()[-1] == "nights: 2 of 2 windows rebuilt."
    after = mart(nights)
    assert {name for name in before if after[name] > before[name]} == {"n1", "n3"}
    assert after["n4"] == before["n4"]
    assert nights.audit("nights")["in_balance"]

    undone = nights.ok("backfill", "nights", "--undo", "--yes")
    assert undone.out.strip().splitlines()[-1] == "nights: 2 windows, 2026-02-01 to 2026-02-02 restored."
    assert mart(nights) == before
    assert nights.audit("nights")["in_balance"]
    again = nights("backfill", "nights", "--undo", "--yes")
    assert (again.code, again.err) == (2, "lake: there is no backfill of nights to undo.\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--undo", "--from", "2026-02-01"), "--undo restores the windows of the last backfill: leave out --from and"),
        (("--from", "2026-02-01"), "no windows were given: name the first and the last with --from WINDOW --to"),
        (("--from", "2026-02-02", "--to", "2026-02-01"), "--from 2026-02-02 is after --to 2026-02-01: swap them."),
        (("--from", "yesterday", "--to", "2026-02-01"), "'yesterday' is not a window of nights"),
    ],
)
def test_arguments_without_a_meaning_are_refused_with_an_alternative(
    nights: Lake, arguments: tuple[str, ...], sentence: str
) -> None:
    refused = nights("backfill", "nights", *arguments)
    assert refused.code == 2
    assert sentence in refused.err
