"""A contract changes: the additive goes through, the breaking is refused, what was quarantined comes back."""

import json
import shutil

import pytest

from tests.end_to_end.conftest import Lake

# One line a field, as `lake new` writes it.
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: ops.tickets
name: tickets
version: 1.0.0
status: active
domain: ops
description: {purpose: One row per support ticket.}
team: {name: ops, members: [{username: ops@example.com, role: owner}]}
customProperties:
  - {property: landing, value: {eventTime: opened_at, window: day, partitions: 2}}
schema:
  - name: tickets
    properties:
      - {name: ticket_id, logicalType: string, required: true, primaryKey: true, description: Number of the ticket.}
      - {name: severity, logicalType: string, description: Bad?, quality: [{metric: invalidValues, arguments: {validValues: [low, high]}, mustBe: 0}]}
      - {name: opened_at, logicalType: timestamp, required: true, description: When it was opened (UTC).}
    quality:
      - {name: few_rows, type: sql, query: "select count(*) from conformed", mustBeLessThan: 5}
"""  # noqa: E501


MART = """\
{{ config(contract={'enforced': false}) }}
select severity, count(*) as tickets from {{ ref('stg_tickets') }} group by severity
"""


def ticket(number: int, severity: str, day: str) -> str:
    return json.dumps({"ticket_id": f"t{number}", "severity": severity, "opened_at": f"{day}T10:00:00Z"})


def send(lake: Lake, *lines: str) -> None:
    lake.ok("produce", "tickets", "-", "--format", "jsonl", stdin="\n".join(lines))


def rows(lake: Lake, day: str) -> list[str]:
    query = f"select ticket_id from tickets_staging.tickets where _window::date = '{day}' order by all"
    return [row["ticket_id"] for row in lake.staging(query)]


@pytest.fixture(scope="module")
def tickets(lake: Lake) -> Lake:
    lake.contract("tickets").write_text(CONTRACT, "utf-8")
    lake.ok("apply")
    send(lake, ticket(1, "low", "2026-02-01"), ticket(2, "urgent", "2026-02-01"), ticket(3, "high", "2026-02-02"))
    lake.ok("run")
    return lake


def test_rows_that_a_wider_rule_allows_come_back_from_quarantine(tickets: Lake) -> None:
    assert rows(tickets, "2026-02-01") == ["t1"]
    text = tickets.contract("tickets").read_text("utf-8")
    tickets.contract("tickets").write_text(
        text.replace("[low, high]", "[low, high, urgent]").replace("version: 1.0.0", "version: 1.1.0"), "utf-8"
    )
    steps = tickets.ok("plan", "--json").json
    assert [(step["name"], step["detail"][:10]) for step in steps if step["kind"] == "windows"] == [
        ("tickets", "1 windows,")
    ]
    tickets.ok("apply")
    assert tickets.ok("run", "--json").json["published"] == {"tickets": ["2026-02-01"]}
    assert rows(tickets, "2026-02-01") == ["t1", "t2"]


def test_a_new_optional_field_appears_without_making_history_again(tickets: Lake) -> None:
    text = tickets.contract("tickets").read_text("utf-8")
    line = "      - {name: team, logicalType: string, description: Who takes care of it.}\n"
    changed = text.replace("      - {name: opened_at", line + "      - {name: opened_at").replace("1.1.0", "1.2.0")
    tickets.contract("tickets").write_text(changed, "utf-8")
    tickets.ok("apply")
    assert tickets.ok("run", "--json").json["published"] == {}
    assert tickets.staging("select team from tickets_staging.tickets limit 1") == [{"team": None}]


def test_a_breaking_change_is_refused_and_all_else_is_applied(tickets: Lake) -> None:
    text = tickets.contract("tickets").read_text("utf-8")
    tickets.contract("tickets").write_text(
        text.replace("name: severity, logicalType: string", "name: severity, logicalType: integer").replace(
            ", quality: [{metric: invalidValues, arguments: {validValues: [low, high, urgent]}, mustBe: 0}]", ""
        ),
        "utf-8",
    )
    tickets.contract("slips").write_text(text.replace("tickets", "slips"), "utf-8")
    planned = tickets("plan", "--json")
    answer = tickets("apply", "--json")
    tickets.contract("tickets").write_text(text, "utf-8")
    for result in (planned, answer):
        assert result.code == 2
        assert [step["name"] for step in result.json if step["kind"] == "contract" and step["action"] != "keep"] == [
            "slips"
        ]
        refused = result.err.strip().splitlines()[-1]
        for words in ("tickets.yaml:1: ", "severity", "major version", "What is applied of tickets runs on."):
            assert words in refused
    assert tickets.changes() == []
    tickets.unapply("slips")


def test_a_failed_check_keeps_the_published_rows_and_the_audit_reports_it(tickets: Lake) -> None:
    before = rows(tickets, "2026-02-02")
    send(tickets, *(ticket(n, "low", "2026-02-02") for n in range(10, 16)), ticket(20, "low", "2026-02-03"))
    answer = tickets("run", "--json")
    assert answer.code == 1
    assert answer.json["held_back"] == {"tickets": ["2026-02-02"]}
    assert rows(tickets, "2026-02-02") == before
    assert rows(tickets, "2026-02-03") == ["t20"]
    audit = tickets.audit("tickets")
    assert audit["in_balance"]
    assert [w["window"] for w in audit["windows"] if w["held_back"]] == ["2026-02-02"]
    assert "few_rows failed" in tickets.ok("why", "tickets", "2026-02-02").out


@pytest.mark.parametrize(
    ("args", "stdin", "code"),
    [
        (("sql", "select ticket_id from tickets_staging.tickets order by all"), None, 0),
        (("new", "nothing", "--from", "-"), "", 2),
        (("run",), None, 1),
    ],
    ids=["good", "bad input", "finding"],
)
def test_warm_lake_answers_what_a_true_start_does(
    tickets: Lake, args: tuple[str, ...], stdin: str | None, code: int
) -> None:
    """The answers are compared while a check holds a window back."""
    warm, cold = (lake(*args, stdin=stdin) for lake in (tickets, tickets.cold))
    assert warm == cold
    assert cold.code == code
    assert cold.err if code else cold.out


def test_a_fixed_check_lets_the_window_through(tickets: Lake) -> None:
    text = tickets.contract("tickets").read_text("utf-8")
    tickets.contract("tickets").write_text(
        text.replace("mustBeLessThan: 5", "mustBeLessThan: 50").replace("version: 1.2.0", "version: 1.3.0"), "utf-8"
    )
    tickets.ok("apply")
    tickets.ok("run")
    assert len(rows(tickets, "2026-02-02")) == 7


def test_a_new_major_version_has_all_history_and_runs_beside_the_old_one(tickets: Lake) -> None:
    text = tickets.contract("tickets").read_text("utf-8").replace("version: 1.3.0", "version: 2.0.0")
    tickets.contract("tickets_v2").write_text(
        text.replace("name: severity, logicalType: string", "name: severity, required: true, logicalType: string"),
        "utf-8",
    )
    old = tickets.staging("select ticket_id from tickets_staging.tickets order by all")
    steps = tickets.changes()
    assert {(s["kind"], s["name"], s["action"]) for s in steps if s["kind"] in ("contract", "topic", "raw table")} == {
        ("contract", "tickets_v2", "create")
    }
    tickets.ok("apply")
    assert tickets.changes() == []
    published = tickets.ok("run", "--json").json["published"]
    assert list(published) == ["tickets_v2"]
    assert tickets.staging("select ticket_id from tickets_staging.tickets_v2 order by all") == old
    # Without a severity it is one that the new version does not take, and the old one does.
    send(
        tickets, ticket(30, "low", "2026-02-04"), json.dumps({"ticket_id": "t31", "opened_at": "2026-02-04T11:00:00Z"})
    )
    assert tickets.ok("run", "--json").json["published"] == {"tickets": ["2026-02-04"], "tickets_v2": ["2026-02-04"]}
    assert rows(tickets, "2026-02-04") == ["t30", "t31"]
    late = "select ticket_id from tickets_staging.tickets_v2 where _window::date = '2026-02-04'"
    assert tickets.staging(late) == [{"ticket_id": "t30"}]
    for name, good, quarantined in (("tickets", 2, 0), ("tickets_v2", 1, 1)):
        audit = tickets.audit(name)
        assert audit["in_balance"]
        (window,) = (one for one in audit["windows"] if one["window"] == "2026-02-04")
        assert (window["raw"], window["good"], window["quarantined"]) == (2, good, quarantined)


def test_versions_that_do_not_agree_on_their_topic_are_refused(tickets: Lake) -> None:
    text = tickets.contract("tickets_v2").read_text("utf-8")
    tickets.contract("tickets_v2").write_text(text.replace("partitions: 2", "partitions: 3"), "utf-8")
    answer = tickets("plan")
    tickets.contract("tickets_v2").write_text(text, "utf-8")
    assert answer.code == 2
    assert "partitions: 3, but 2 in" in answer.err


def test_a_version_without_a_file_runs_on_and_is_named(tickets: Lake) -> None:
    text = tickets.contract("tickets").read_text("utf-8")
    tickets.contract("tickets").unlink()
    (step,) = (step for step in tickets.ok("plan", "--json").json if step["name"].startswith("tickets"))
    assert (step["kind"], step["name"], step["action"]) == ("contract", "tickets", "keep")
    assert tickets("status", "--json").json["unapplied"]["missing"] == ["tickets"]
    send(tickets, ticket(40, "high", "2026-02-05"))
    assert tickets.ok("run", "--json").json["published"] == {"tickets": ["2026-02-05"], "tickets_v2": ["2026-02-05"]}
    tickets.contract("tickets").write_text(text, "utf-8")
    assert rows(tickets, "2026-02-05") == ["t40"]


def test_broken_or_unapplied_files_change_nothing_and_stop_no_other_asset(tickets: Lake) -> None:
    """The contract, a model of the same dbt project and an asset that is not applied, all at once."""
    path, mart = tickets.contract("tickets"), tickets.folder / "dbt" / "models" / "marts" / "tickets_data_mart"
    text = path.read_text("utf-8")
    mart.mkdir()
    (mart / "severities.sql").write_text(MART, "utf-8")
    tickets.ok("apply")
    tickets.ok("run")
    path.write_text(text.replace("logicalType: string", "logicalTyp: string", 1), "utf-8")
    other = text.replace("tickets", "tokens")
    tickets.contract("tokens").write_text(other, "utf-8")
    (mart / "wrong.sql").write_text("select * from {{ ref('stg_nobody') }}", "utf-8")
    try:
        send(tickets, ticket(50, "low", "2026-02-06"))
        ran = tickets.ok("run", "--json")
        assert ran.json["published"]["tickets"] == ["2026-02-06"]
        assert ran.json["marts"] == ["tickets_data_mart.severities"]
        for output in (ran.err, tickets("status").out, tickets("plan").err):
            assert "logicalTyp" in output
            assert "stg_nobody" in output
        assert "Not applied, so nothing of it runs: tokens. Apply with `lake apply`." in ran.err
        applied = tickets("apply")
        assert applied.code == 2
        assert "What is applied of tickets runs on." in applied.err
        assert tickets("status", "--json").json["unapplied"]["new"] == []
        tickets.ok("produce", "tokens", "-", "--format", "jsonl", stdin=ticket(1, "low", "2026-02-06"))
        assert tickets.ok("run", "--json").json["published"] == {"tokens": ["2026-02-06"]}
    finally:
        path.write_text(text, "utf-8")
        shutil.rmtree(mart)
        tickets.unapply("tokens")
    assert tickets.changes() == []
