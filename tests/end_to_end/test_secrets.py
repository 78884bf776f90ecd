"""Secrets that must not be shown: a person's data, and passwords, after an asset went all the way."""

import csv
import io

import psutil
import pytest

from lake_assets.home import Home
from lake_assets.stack.passwords import read_kafka_passwords, read_passwords
from tests.end_to_end.conftest import Lake
from tests.support.connect_api import ask
from tests.support.marked_values import files_with, readable, tables_with

PERSON = "zacharias.unmistakable"
PROTECTION = "customProperties:\n  - {property: protection, value: {tokenise: [email], drop: [phone]}}\n"


@pytest.fixture(scope="module")
def guests(lake: Lake) -> Lake:
    """The lake after guests with good and bad rows were staged, quarantined, asked about and replayed."""
    rows = [("guest_no", "email", "phone", "came_at")]
    rows += [
        (f"G-{n}", f"{PERSON}{n % 7}@example.com", f"{PERSON}-{n}", f"2026-02-0{1 + n % 3}T10:00:00Z")
        for n in range(40)
    ]
    rows += [("G-bad", f"{PERSON} at example.com", f"{PERSON}-99", "2026-02-01T11:00:00Z")]
    rows += [("", f"{PERSON}8@example.com", f"{PERSON}-98", "2026-02-01T11:00:00Z")]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    (lake.folder / "guests.csv").write_text(text.getvalue(), "utf-8")
    (lake.folder / "sample.csv").write_text("\n".join(text.getvalue().splitlines()[:41]), "utf-8")
    lake.ok("new", "guests", "--from", str(lake.folder / "sample.csv"), "--domain", "shop")
    contract = lake.contract("guests")
    changed = contract.read_text("utf-8").replace("customProperties:\n", PROTECTION)
    changed = changed.replace(
        "name: email, logicalType: string",
        "name: email, logicalType: string, logicalTypeOptions: {pattern: '[^@ ]+@[^@ ]+'}",
    )
    contract.write_text(changed, "utf-8")
    lake.ok("apply")
    lake.ok("produce", "guests", str(lake.folder / "guests.csv"))
    lake.ok("run")
    lake.ok("replay", "guests", "--code", "pattern")
    return lake


def test_staging_has_tokens_that_are_equal_for_equal_values(guests: Lake) -> None:
    [found] = guests.staging(
        "select count(*) as rows, count(distinct email) as people, min(length(email)) as least, "
        "max(length(email)) as most, count(phone) as phones from guests_staging.guests"
    )
    assert found == {"rows": 40, "people": 7, "least": 64, "most": 64, "phones": 0}
    assert guests.audit("guests")["in_balance"]


def test_a_persons_data_is_in_no_answer_no_log_and_no_database(guests: Lake) -> None:
    for command in (["quarantine", "guests"], ["quarantine", "guests", "--json"], ["why", "guests"], ["status"],
                    ["why", "guests", "2026-02-01"], ["audit", "guests", "--json"]):  # fmt: skip
        answer = guests(*command)
        assert PERSON not in answer.out + answer.err, command
    [quarantined] = guests.staging(
        "select count(*) as rows, count(payload) as payloads, count(key) as keys, "
        f"count(*) filter (where errors::varchar like '%{PERSON}%') as shown from guests_staging.guests_quarantine"
    )
    assert quarantined == {"rows": 2, "payloads": 0, "keys": 0, "shown": 0}
    assert files_with(guests.settings.home, PERSON) == []
    assert tables_with(guests.settings, PERSON) == []


def test_no_password_is_in_a_log_a_table_a_connector_or_a_process_list(guests: Lake) -> None:
    layout = Home(guests.settings.home)
    passwords = read_passwords(layout) | {f"{u} of Kafka": p for u, p in read_kafka_passwords(layout).items()}
    assert len(passwords) == 8
    public = "".join(ask(guests.settings, "GET", f"/connectors/{name}/config").text
                   for name in ask(guests.settings, "GET", "/connectors").json())  # fmt: skip
    public += "".join(" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    home = guests.settings.home
    files = [path for path in home.rglob("*") if readable(home, path) and "secrets" not in path.parts]
    for role, password in passwords.items():
        assert password not in public, role
        assert [path for path in files if password.encode() in path.read_bytes()] == [], role
        assert tables_with(guests.settings, password) == [], role


def test_a_field_that_is_protected_later_is_a_token_in_every_window(guests: Lake) -> None:
    """Regression: after a breaking change that the contract allows, only windows with quarantined rows were rebuilt."""
    contract = guests.contract("guests")
    text = contract.read_text("utf-8").replace("tokenise: [email]", "tokenise: [email, guest_no]")
    allowed = "customProperties:\n  - {property: compatibility, value: none}\n"
    contract.write_text(text.replace("customProperties:\n", allowed).replace("1.0.0", "1.1.0"), "utf-8")
    guests.ok("apply")
    guests.ok("run")
    query = "select _window::date::varchar as day, min(length(guest_no)) as least from guests_staging.guests group by 1"
    found = {row["day"]: row["least"] for row in guests.staging(query)}
    assert found == {"2026-02-01": 64, "2026-02-02": 64, "2026-02-03": 64}
