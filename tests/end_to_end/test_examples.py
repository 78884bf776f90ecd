"""The example assets from generated events to marts, against what a fold of the same events says."""

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from lake_assets.demo.generator import BROKEN, expected, generate, kinds
from tests.end_to_end.conftest import Lake

END = datetime(2026, 9, 1, tzinfo=UTC)
DAYS, SEED = 10, 7
ROWS = {"leads": 2_000, "contracts": 400, "sales": 4_000}


# Of each asset before the events of this file: numbers, and rows in quarantine by their codes.
BEFORE: dict[str, tuple[Counter[str], Counter[str]]] = {}
# From a month before the first day, since some events are that late.
OWN = "between '2026-07-01' and '2026-09-30'"


@pytest.fixture(scope="module")
def filled(lake: Lake) -> Lake:
    """The lake after the example events went through it once."""
    for asset in ROWS:
        BEFORE[asset] = raw_good_and_duplicates(lake, asset), quarantined(lake, asset)
    for asset, rows in ROWS.items():
        lake.ok("produce", asset, "-", "--format", "jsonl", stdin=b"\n".join(generate(asset, rows, SEED, END, DAYS)))
    lake.ok("run")
    return lake


def raw_good_and_duplicates(lake: Lake, asset: str) -> Counter[str]:
    """Of all windows together. Tests of other files send events of these assets, too."""
    windows = lake.audit(asset)["windows"]
    return Counter({what: sum(window[what] for window in windows) for what in ("raw", "good", "duplicates")})


def quarantined(lake: Lake, asset: str) -> Counter[str]:
    return Counter({row["code"]: row["rows"] for row in lake.ok("quarantine", asset, "--json").json})


@pytest.mark.parametrize("asset", ROWS)
def test_every_generated_line_ends_where_the_generator_says(filled: Lake, asset: str) -> None:
    wanted = expected(asset, ROWS[asset], SEED, END, DAYS)
    numbers, codes = BEFORE[asset]
    found = raw_good_and_duplicates(filled, asset)
    found.subtract(numbers)
    assert found == {"raw": wanted.lines, "good": wanted.good, "duplicates": wanted.duplicates}
    assert quarantined(filled, asset) - codes == wanted.quarantined


@pytest.mark.parametrize("asset", ROWS)
def test_the_audit_is_in_balance(filled: Lake, asset: str) -> None:
    answer = filled("audit", asset, "--json")
    assert (answer.code, answer.json[0]["in_balance"]) == (0, True)
    assert all(p["under_way"] == 0 and not p["gaps"] for p in answer.json[0]["partitions"])


def test_the_sales_mart_equals_a_fold_of_the_events(filled: Lake) -> None:
    totals: dict[tuple[str, str], tuple[int, Decimal]] = defaultdict(lambda: (0, Decimal(0)))
    given = ROWS["sales"], SEED, END, DAYS
    for kind, line in zip(kinds(*given), generate("sales", *given), strict=True):
        if kind in BROKEN or kind == "doubled":
            continue
        event = json.loads(line, parse_float=Decimal)
        key = event["region"], event["ordered_at"][:10]
        orders, amount = totals[key]
        totals[key] = orders + 1, amount + Decimal(event["amount"])
    mart = filled.mart(f"select region, day::text, orders, amount from sales_data_mart.sales where day {OWN}")
    assert {(region, day): (orders, amount) for region, day, orders, amount in mart} == totals


def test_the_funnel_counts_every_good_lead_and_every_good_contract(filled: Lake) -> None:
    # A lead of another file's may have the name of one that is signed: that contract is in its month.
    ((leads,),) = filled.mart(f"select sum(leads) from funnel_data_mart.funnel where month {OWN}")
    ((contracts,),) = filled.mart("select sum(contracts) from funnel_data_mart.funnel")
    assert leads == expected("leads", ROWS["leads"], SEED, END, DAYS).good
    assert contracts == expected("contracts", ROWS["contracts"], SEED, END, DAYS).good


@pytest.mark.fault("a whole topic is sent twice", "duplicates are counted, no mart changes")
def test_the_same_events_sent_again_are_duplicates_and_change_no_mart(filled: Lake) -> None:
    query = "select region, day, orders, quantity, amount from sales_data_mart.sales order by 1, 2"
    before, numbers = filled.mart(query), raw_good_and_duplicates(filled, "sales")
    filled.ok("produce", "sales", "-", "--format", "jsonl", stdin=b"\n".join(generate("sales", 4_000, SEED, END, DAYS)))
    filled.ok("run")
    found = raw_good_and_duplicates(filled, "sales")
    found.subtract(numbers)
    assert filled.mart(query) == before
    assert (found["raw"], found["good"]) == (4_000, 0)


@pytest.mark.fault("a late event", "its own window is made again, and no other")
def test_a_late_event_makes_only_its_own_window_again(filled: Lake) -> None:
    def made() -> dict[str, str]:
        return {
            w["window"]: w["published"]["published_at"] for w in filled.ok("why", "sales", "--json").json["windows"]
        }

    before = made()
    oldest = min(window for window in before if window >= "2026-08-01")
    late = {"order_id": "late-1", "region": "north", "product": "mug", "quantity": 1, "amount": "1.00",
            "ordered_at": f"{oldest}T01:00:00Z"}  # fmt: skip
    filled.ok("produce", "sales", "-", "--format", "jsonl", stdin=json.dumps(late))
    # What dbt says while marts are made is no part of the answer.
    assert filled.ok("run", "--json").json["marts"] == ["sales_data_mart.sales"]
    after = made()
    assert [window for window in after if after[window] != before.get(window)] == [oldest]


def test_running_again_with_nothing_new_makes_nothing(filled: Lake) -> None:
    assert filled.ok("run", "--json").json["published"] == {}


def test_plan_after_apply_is_empty(filled: Lake) -> None:
    assert filled.changes() == []
    assert filled.changes("apply") == []


def test_a_contract_without_a_file_is_reported_with_the_marts_behind_it(filled: Lake) -> None:
    text = filled.contract("contracts").read_text("utf-8")
    filled.contract("contracts").unlink()
    steps = filled.ok("plan", "--json").json
    filled.contract("contracts").write_text(text, "utf-8")
    [step] = [one for one in steps if (one["kind"], one["name"]) == ("contract", "contracts")]
    assert step["action"] == "keep"
    assert "its applied contract stays in use; it is read by model funnel_data_mart.funnel" in step["detail"]


def test_status_says_how_far_each_asset_is_behind(filled: Lake) -> None:
    event = {"order_id": "behind", "region": "north", "product": "mug", "quantity": 1, "amount": "1.00",
             "ordered_at": "2026-08-30T12:00:00Z"}  # fmt: skip
    filled.ok("produce", "sales", "-", "--format", "jsonl", stdin=json.dumps(event))

    def behind() -> int:
        # The exit code is 3: of this stack only the servers run, not Dagster.
        (sales,) = [asset for asset in filled("status", "--json").json["assets"] if asset["asset"] == "sales"]
        return sales["under_way"] + sales["queued"]

    assert behind() in (1, 2), "what lands this moment may be told as under way and as queued"
    (alone,) = filled("status", "sales", "--json").json["assets"]
    assert alone["asset"] == "sales"
    filled.ok("run")
    assert behind() == 0
