"""The corpus through the commands that its owners would type: each row and each sum arrives, in one lake.

`make strangers` takes all files, `make test` a few that differ in what happens after `lake new`.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.settings import PROJECT, Settings
from tests.end_to_end.conftest import Lake
from tests.support.connect_api import remove_connectors
from tests.support.strangers.corpus import CORPUS
from tests.support.strangers.pipeline import through, wrong
from tests.support.strangers.plain_reader import read_rows, sum_of
from tests.support.strangers.shape import Shape

DOMAIN = "strangers"
# They differ in what happens after `lake new`: inputs, event times, windows, names, quarantine, duplicates.
IN_CI = frozenset({
    "polls", "births by day", "special investigations", "a survey with its questions as columns",
    "earthquakes (GeoJSON)", "penguins, raw", "planes", "weather at airports", "orders of a shop", "country codes",
    "webhooks of GitHub", "two-digit years with a time of day", "Twitter's", "epoch seconds with a fraction (zeek)",
    "epoch seconds as a text (Slack)", "CloudEvents", "no time at all", "dates far apart", "dates before 1970",
    "NA in the time", "R's row numbers", "a key and rows that came twice", "a bank's turnover",
    "cells of several lines", "SQL words and our own names as columns", "names of other scripts",
    "three hundred columns", "rows cut short and too long", "Japanese in shift_jis", "a damaged byte in UTF-8",
    "UTF-16 of Excel", "CloudTrail's Records", "Parquet of taxis", "Arrow of Feather",
})  # fmt: skip
TAKES_ALL = os.environ.get("LAKE_STRANGERS") == "all"
CHOSEN = [shape for shape in CORPUS if not shape.refused and (TAKES_ALL or shape.name in IN_CI)]


@dataclass(frozen=True)
class Outcome:
    """Results of a lake for the files: contracts, audits and the sums of numeric columns, by asset."""

    lake: Lake
    assets: dict[str, Asset]
    audits: dict[str, Any]
    sums: dict[str, dict[str, str | None]]


def name_of(shape: Shape) -> str:
    return "x" + re.sub(r"[^a-z0-9]+", "_", shape.name.lower()).strip("_")[:40]


@pytest.fixture(scope="module")
def outcome(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Generator[Outcome]:
    folder = tmp_path_factory.mktemp("strangers")
    (folder / "catalog" / "assets").mkdir(parents=True)
    ignored = shutil.ignore_patterns("target", "logs", "models")
    shutil.copytree(PROJECT / "dbt_project", folder / "dbt", ignore=ignored)
    environment = {
        **os.environ,
        "LAKE_HOME": str(stack.home),
        "LAKE_CATALOG": str(folder / "catalog"),
        "LAKE_DBT_PROJECT": str(folder / "dbt"),
    }
    lake = Lake(stack, folder, environment)
    try:
        yield go_through(lake)
    finally:
        remove_connectors(stack, f"raw-{DOMAIN}")


def go_through(lake: Lake) -> Outcome:
    seconds: dict[str, float] = {}

    def timed(*args: str) -> Any:
        began = time.monotonic()
        answer = lake.ok(*args)
        seconds[" ".join(args[:2])] = time.monotonic() - began
        return answer

    assets: dict[str, Asset] = {}
    for shape in CHOSEN:
        name, path = name_of(shape), lake.folder / shape.file
        path.write_bytes(shape.data)
        timed("new", name, "--from", str(path), "--domain", DOMAIN)
        assets[name] = parse_contract(lake.contract(name).read_text("utf-8"), lake.contract(name))
    timed("apply")
    for shape in CHOSEN:
        path = lake.folder / shape.file
        path.write_bytes(shape.data)
        timed("produce", name_of(shape), str(path))
    timed("run")
    audits = {audit["asset"]: audit for audit in timed("audit", "--json").json}
    sums = sums_in_staging(lake, assets.values())
    slowest = sorted(seconds.items(), key=lambda command: -command[1])[:6]
    slow = ", ".join(f"{command} {taken:.1f}" for command, taken in slowest)
    print(f"\n{len(CHOSEN)} files in {sum(seconds.values()):.0f} s, of which {slow}")
    return Outcome(lake, assets, audits, sums)


def numeric(asset: Asset) -> list[Any]:
    return [one for one in asset.fields if one.type.name in ("integer", "decimal", "double") and not one.path]


def sums_in_staging(lake: Lake, assets: Iterable[Asset]) -> dict[str, dict[str, str | None]]:
    """The sums of numeric columns, as texts, by asset."""
    queries: list[str] = []
    for asset in assets:
        sums = ", ".join(f"'{one.name}': sum(\"{one.name}\")::varchar" for one in numeric(asset)) or "'': count(*)"
        table = f"{asset.staging_schema}.{asset.name}"
        queries.append(f"select '{asset.name}' as asset, to_json({{{sums}}})::varchar as sums from {table}")
    found = lake.ok("sql", "-", "--json", stdin="\nunion all\n".join(queries)).json
    return {row["asset"]: json.loads(row["sums"]) for row in found}


@pytest.mark.parametrize("shape", CHOSEN, ids=[shape.name for shape in CHOSEN])
def test_each_row_is_accounted_for_and_each_sum_is_the_files(shape: Shape, outcome: Outcome) -> None:
    name, rows = name_of(shape), read_rows(shape)
    asset, audit = outcome.assets[name], outcome.audits[name]
    good = [row for at, row in enumerate(rows) if at not in shape.bad]
    # A row that is equal to another of the same key came twice.
    kept = good if not asset.key else list({repr(row): row for row in good}.values())
    counted = {
        part: sum(window[part] for window in audit["windows"]) for part in ("raw", "good", "quarantined", "duplicates")
    }
    assert counted == {
        "raw": len(rows),
        "good": len(kept),
        "quarantined": len(shape.bad),
        "duplicates": len(good) - len(kept),
    }
    assert audit["in_balance"]
    mistaken = wrong(shape, through(shape).inferred)
    for one in numeric(asset):
        if one.name in mistaken:
            continue
        plain = sum_of(kept, one.payload_key, shape)
        ours = Decimal(outcome.sums[name][one.name] or 0)
        assert abs(ours - plain) <= (abs(plain) + 1) / 10**9, one.name
