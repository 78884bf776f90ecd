"""The example events: what they claim about themselves is what conform finds."""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache

import duckdb
import pyarrow as pa
import pytest

from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.compile.judge import judge_sql
from lake_assets.demo.generator import LEADS_PER_CONTRACT, expected, generate
from lake_assets.settings import PROJECT

END, DAYS, SEED, ROWS = datetime(2026, 11, 22, 16, tzinfo=UTC), 60, 11, 20_000
NAMES = ("leads", "contracts", "sales")


@cache
def lines(name: str, rows: int = ROWS) -> list[bytes]:
    return list(generate(name, rows, SEED, END, DAYS))


@cache
def contract(name: str) -> Asset:
    path = PROJECT / "lake_assets" / "catalog" / "assets" / f"{name}.yaml"
    return parse_contract(path.read_text("utf-8"), path)


def whole(name: str) -> list[dict[str, object]]:
    """Events that can be read at all, each once."""
    found: dict[bytes, dict[str, object]] = {}
    for line in lines(name):
        try:
            found[line] = json.loads(line)
        except ValueError:
            continue
    return list(found.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_arguments_give_the_same_lines(name: str) -> None:
    assert list(generate(name, 2000, 3, END, DAYS)) == list(generate(name, 2000, 3, END, DAYS))
    assert list(generate(name, 2000, 3, END, DAYS)) != list(generate(name, 2000, 4, END, DAYS))


@pytest.mark.parametrize("name", NAMES)
def test_conform_finds_just_the_rows_that_were_promised(name: str) -> None:
    asset, promised = contract(name), expected(name, ROWS, SEED, END, DAYS)
    assert promised.lines == len(lines(name)) == ROWS
    raw = pa.table(
        {
            "payload": pa.array(lines(name), pa.binary()),
            "_key": pa.nulls(ROWS, pa.binary()),
            "_topic": ["t"] * ROWS,
            "_partition": pa.array([0] * ROWS, pa.int32()),
            "_offset": pa.array(range(ROWS), pa.int64()),
            "_timestamp": pa.array([END] * ROWS, pa.timestamp("us", "UTC")),
        }
    )
    with duckdb.connect() as connection:
        connection.register("raw", raw)
        connection.execute(f"set TimeZone = 'UTC'; create table judged as {judge_sql(asset, 'raw')}")
        codes = connection.execute(
            "select e.code, count(*) from (select unnest(_errors) as e from judged) group by all"
        ).fetchall()
        key = ", ".join(asset.key)
        good, distinct, extra = connection.execute(
            f"select count(*), count(distinct ({key})), count(distinct ({key})) filter (_extra is not null) "
            "from judged where _errors is null"
        ).fetchall()[0]
    assert dict(codes) == dict(promised.quarantined)
    assert (distinct, good - distinct, extra) == (promised.good, promised.duplicates, promised.extra)
    assert promised.good + promised.duplicates + promised.quarantined.total() == promised.lines
    assert min(promised.late, promised.duplicates, promised.extra, *promised.quarantined.values()) > 0


@pytest.mark.parametrize("name", NAMES)
def test_events_come_in_order_but_for_the_late_ones_some_a_month_old(name: str) -> None:
    event_time = contract(name).event_time
    times = [datetime.fromisoformat(str(event[event_time])) for event in whole(name)]
    assert max(times) < END
    assert min(times) >= END - timedelta(days=DAYS + 30)
    newest = times[0]
    behind: list[timedelta] = []
    for instant in times:
        newest = max(newest, instant)
        behind.append(newest - instant)
    # Deals are signed up to two weeks after their leads, so their order is loose anyway.
    ordinary = timedelta(days=14) if name == "contracts" else timedelta(minutes=1)
    late = sum(gap > ordinary for gap in behind)
    promised = expected(name, ROWS, SEED, END, DAYS).late
    assert late == promised if name != "contracts" else 0 < late <= promised
    assert max(behind) >= timedelta(days=29)


def test_each_deal_follows_its_own_lead_and_origins_convert_differently() -> None:
    leads = {str(lead["lead_id"]): lead for lead in whole("leads")}
    deals = [
        (json.loads(line), leads[json.loads(line)["lead_id"]])
        for line in dict.fromkeys(generate("contracts", ROWS // LEADS_PER_CONTRACT, SEED, END, DAYS))
        if line.startswith(b"{") and line.endswith(b"}") and b"\xe9" not in line
        and json.loads(line).get("lead_id") in leads
    ]  # fmt: skip
    assert len(deals) > ROWS // LEADS_PER_CONTRACT * 0.95
    late = [deal for deal, lead in deals if str(deal["signed_at"]) < str(lead["created_at"])]
    assert not late
    origins = Counter(lead["origin"] for lead in leads.values())
    signed = Counter(lead["origin"] for _, lead in deals)
    rate = {origin: signed[origin] / origins[origin] for origin in ("web", "phone", "event", "partner", "referral")}
    assert rate["referral"] > rate["partner"] > rate["event"] > rate["web"] > 0


@pytest.mark.parametrize("name", ["contracts", "sales"])
def test_money_has_at_most_two_decimals(name: str) -> None:
    amounts = [line for line in lines(name) if b'"amount": ' in line and line.endswith(b"}") and b"dozen" not in line]
    assert all(re.search(rb'"amount": \d+\.\d{1,2},', line) for line in amounts)


def test_currencies_differ() -> None:
    assert {event["currency"] for event in whole("contracts")} >= {"EUR", "USD", "GBP"}
