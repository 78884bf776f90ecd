"""The README's first command, on a machine that has no network any more once it is set up."""

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lake_assets.cli.demo import LIVE_SALES
from lake_assets.demo.generator import Expected, expected
from lake_assets.demo.tour import SEED, Volume
from tests.support.conditions import wait_until
from tests.support.offline_machine import Answer, Offline
from tests.support.openlineage_readers import Event, check_by_schema, upstream
from tests.support.server_marker import starts_server

SALES, DAYS = 3_000, 4
NAMES = ("leads", "contracts", "sales")
LAKE = str(Path(sys.executable).parent / "lake")


@dataclass(frozen=True)
class Demo:
    """A lake without a network, and what `lake demo` printed in it."""

    offline: Offline
    output: str
    home: Path

    def lineage(self) -> list[Event]:
        lines = (line for file in sorted((self.home / "lineage").glob("*.jsonl")) for line in file.open("rb"))
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def lake(self, *args: str, stdin: str = "") -> Answer:
        answer = self.offline(LAKE, *args, stdin=stdin)
        assert answer.code == 0, answer.err + answer.out
        return answer


@pytest.fixture(scope="module")
@starts_server
def demo() -> Generator[Demo]:
    home = Path(tempfile.mkdtemp(prefix="lake-"))
    with Offline({**os.environ, "LAKE_HOME": str(home)}) as offline:
        try:
            answer = offline(LAKE, "demo", "--sales", str(SALES), "--days", str(DAYS))
            assert answer.code == 0, answer.err + answer.out
            yield Demo(offline, answer.out, home)
        finally:
            offline(LAKE, "down")
            shutil.rmtree(home, ignore_errors=True)


def promised(name: str) -> Expected:
    """Return the expected counts of the generated events; they do not depend on the day."""
    return expected(name, Volume(SALES, DAYS).rows()[name], SEED, datetime(2026, 1, 1, tzinfo=UTC), DAYS)


def table(output: str, title: str) -> list[list[str]]:
    """The rows of a printed table, cell by cell."""

    def rows() -> Iterator[str]:
        lines = iter(output.splitlines())
        assert any(line.startswith(title) for line in lines), output
        next(lines)
        next(lines)
        for line in lines:
            if not line.startswith(" "):
                return
            yield line

    return [re.split(r"\s{2,}", row.strip()) for row in rows()]


def test_demo_prints_a_balanced_audit_of_every_event_it_sent(demo: Demo) -> None:
    audits = {name: [int(n.replace(",", "")) for n in numbers] + words for name, *numbers, words in (
        (row[0], *row[1:5], row[6:]) for row in table(demo.output, "Audit: lake audit"))}  # fmt: skip
    for name in NAMES:
        of, live = promised(name), LIVE_SALES + 1 if name == "sales" else 0
        assert audits[name] == [of.lines + live, of.good + live, of.quarantined.total(), of.duplicates, "in balance"]


def test_demo_prints_the_marts_as_analysts_read_them(demo: Demo) -> None:
    sales = table(demo.output, "sales_data_mart.sales, by region")
    funnel = table(demo.output, "funnel_data_mart.funnel, by origin")
    assert [row[0] for row in sales] == ["east", "north", "south", "west"]
    assert sum(int(row[1]) for row in sales) == promised("sales").good + LIVE_SALES + 1
    assert {row[0] for row in funnel} >= {"web", "referral", "partner", "event", "phone"}
    assert sum(int(row[1]) for row in funnel) == promised("leads").good
    asked = (
        "select region, sum(orders) as orders, sum(amount) as amount from sales_data_mart.sales group by 1 order by 1"
    )
    answered = json.loads(demo.lake("sql", asked, "--as", "analyst", "--json").out)
    assert [[row["region"], str(row["orders"]), str(row["amount"])] for row in answered] == [
        [row[0], row[1], row[3]] for row in sales
    ]


def test_demo_prints_why_events_are_in_quarantine(demo: Demo) -> None:
    rows = table(demo.output, "Quarantine: lake quarantine")
    for name in NAMES:
        found = {row[1]: int(next(cell for cell in row[2:] if cell.isdigit())) for row in rows if row[0] == name}
        assert found == dict(promised(name).quarantined)


def test_demo_reports_seconds_addresses_and_that_speed_equals_batch(demo: Demo) -> None:
    assert re.search(r"^From the last event to the metric \d+\.\d\d s$", demo.output, re.M)
    assert re.search(r"^From the last event to the mart +\d+\.\d s$", demo.output, re.M)
    assert re.search(r"^Dagster +http://127\.0\.0\.1:\d+ \(log in: lake open dagster\)$", demo.output, re.M)
    assert f"  {LIVE_SALES:,} sales; the last one was in the database after " in demo.output
    parity, last = demo.output.rstrip().splitlines()[-2:]
    equal = re.fullmatch(r"Speed and batch, sales_by_region: ([\d,]+) final numbers equal staging", parity)
    assert equal, parity
    assert re.fullmatch(r"Dashboard: http://127\.0\.0\.1:\d+ \(log in: lake open dashboard\)", last), last
    # Of each region and minute at least one; most have an event of their own.
    assert int(equal[1].replace(",", "")) > SALES / 2


def test_lineage_of_the_demo_leads_from_boards_to_topics(demo: Demo) -> None:
    """Real runs, from the sensor's own files, joined by their names alone."""
    needed = {"board.funnel_report": {"crm.leads", "crm.contracts"}, "board.sales_board": {"shop.sales"}}

    def topics() -> dict[str, set[str]]:
        events = demo.lineage()
        ended = {event["job"]["name"] for event in events if event["eventType"] == "COMPLETE"}
        return {
            board: {name for namespace, name in upstream(events, board) if namespace.startswith("kafka://")}
            for board in needed.keys() & ended
        }

    # The sensor looks every 30 s.
    wait_until(lambda: topics() == needed, seconds=180)
    events = demo.lineage()
    for event in events:
        check_by_schema(event)
    rows = [
        output["outputFacets"]["outputStatistics"]["rowCount"]
        for event in events
        for output in event["outputs"]
        if output["name"] == "lake.leads_staging.leads" and "outputFacets" in output
    ]
    assert sum(rows) >= promised("leads").good
    ended = [event for event in events if event["eventType"] == "COMPLETE"]
    mart = next(o for e in ended for o in e["outputs"] if o["name"] == "lake.funnel_data_mart.funnel")
    [source] = mart["facets"]["columnLineage"]["fields"]["origin"]["inputFields"]
    assert (source["name"], source["field"]) == ("lake.leads_staging.leads", "origin")
    # Owners of assets, and leads, are people.
    assert "@" not in json.dumps(events)


def test_nothing_but_setup_needs_a_network(demo: Demo) -> None:
    """All parts run while `lake demo` filled them; now the other commands of the first day, and the end."""
    now = datetime.now(UTC) - timedelta(minutes=1)
    sale = {"order_id": "offline-1", "region": "west", "product": "mug", "quantity": 1, "amount": "1.00",
            "ordered_at": now.isoformat()}  # fmt: skip
    demo.lake("apply")
    demo.lake("produce", "sales", "-", "--format", "jsonl", stdin=json.dumps(sale))
    demo.lake("run")
    assert "in balance" in demo.lake("audit", "sales").out
    assert {part["health"] for part in json.loads(demo.lake("status", "--json").out)["parts"]} == {None}
    demo.lake("down")
    assert demo.offline.attempts == 0


def test_each_call_to_the_outside_fails_and_is_counted() -> None:
    """Calls by address, by name, and as a datagram count; calls that stay on the machine do not."""
    calls = (
        "socket.create_connection(('198.51.100.1', 443), 5)",
        "socket.create_connection(('2001:db8::1', 443), 5)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('198.51.100.1', 53))",
        "socket.getaddrinfo('telemetry.example.com', 443)",
    )
    with Offline(os.environ) as offline:
        for call in calls:
            before = offline.attempts
            assert offline(sys.executable, "-c", f"import socket; {call}").code == 1, call
            assert offline.attempts > before, call
        before = offline.attempts
        inside = "import socket; socket.getaddrinfo('localhost', 1); socket.getaddrinfo(socket.gethostname(), 1)"
        assert offline(sys.executable, "-c", inside).code == 0
        assert offline.attempts == before
