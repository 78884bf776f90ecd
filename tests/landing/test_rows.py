"""Rows of raw as Envelope.java makes them of records, on a JVM without a worker."""

import json
import os
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from lake_assets.landing.envelope import raw_time
from lake_assets.stack.connect_plugin import compile_plugin
from lake_assets.stack.jars import jars_folder
from lake_assets.stack.java import find_java

Headers = Sequence[tuple[str, bytes | None]]
AT, YEAR_ONE = 1_793_534_400_000, -62_135_596_800_000
TABLES = "Leads.v1:crm.leads,crm.Old:crm.new"
TIME = "lake-event-time"

# Headers, and the time that raw has for a record of AT with them.
TIMES: list[tuple[Headers, int]] = [
    ([], AT),
    ([("other", b"-1000")], AT),
    ([(TIME, b"-1000")], -1000),
    ([(TIME, b"0")], 0),
    ([(TIME, b"-1"), (TIME, b"0")], 0),
    ([(TIME, b"0"), (TIME, b"-1"), ("other", b"7")], -1),
    ([(TIME, b"0"), (TIME, b"x")], AT),
    ([(TIME, b"%d" % (AT - 1))], AT - 1),
    ([(TIME, b"%d" % AT)], AT),
    ([(TIME, b"%d" % (AT + 1))], AT),
    ([(TIME, b"%d" % YEAR_ONE)], YEAR_ONE),
    ([(TIME, b"%d" % (YEAR_ONE - 1))], AT),
    ([(TIME, b"-999999999999999")], AT),
    *(
        ([(TIME, value)], AT)
        for value in (None, b"", b"-", b"+1", b" 1", b"1 ", b"1\n", b"1_0", b"1.0", b"0x1", b"\xff", b"\xb2",
                      "\u0661".encode(), b"0" * 16, b"-" + b"9" * 400)
    ),
]  # fmt: skip


def record(
    topic: str = "crm.x",
    key: bytes | None = b"k",
    value: bytes | None = b"v",
    at: int | None = AT,
    headers: Headers = (),
) -> str:
    encoded = [(name, _encoded(value)) for name, value in headers]
    return json.dumps(
        {"topic": topic, "key": _encoded(key), "value": _encoded(value), "timestamp": at, "headers": encoded}
    )


def _encoded(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def _decoded(value: str | None) -> bytes | None:
    return None if value is None else b64decode(value)


def rows(*records: str) -> list[dict[str, Any]]:
    jars = jars_folder()
    path = os.pathsep.join((f"{jars / 'kafka'}/*", f"{compile_plugin(find_java(), jars) / 'lake'}/*"))
    source = Path(__file__).with_name("Rows.java")
    # In Turkish the small letter of I is another one.
    command = [find_java(), "-Duser.language=tr", "-cp", path, str(source), TABLES]
    done = subprocess.run(command, input="\n".join(records), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line.partition(" ") for line in done.stdout.splitlines()]
    found = [{**json.loads(row), "stamped": json.loads(time)} for time, _, row in lines]
    for row in found:
        row["payload"], row["_key"] = _decoded(row["payload"]), _decoded(row["_key"])
        if row["_headers"] is not None:
            row["_headers"] = [(header["name"], _decoded(header["value"])) for header in row["_headers"]]
    return found


def test_a_row_has_the_record_s_bytes_and_place_and_no_others() -> None:
    odd: Headers = [("_key", b"a"), ("", b""), ("b", None), ("_key", b"\xff\0"), ("a", b"2"), ("\u00e9\0", b"1")]
    whole, empty, nothing = rows(
        record(key=b"\xff\xfe\0", value=b"\x80{", headers=odd),
        record(key=b"", value=b""),
        record(key=None, value=None, at=None),
    )
    place = {"_topic": "crm.x", "_partition": 3, "_offset": 7, "_table": "crm.x"}
    sent = {**place, "_timestamp": AT, "stamped": AT}
    assert whole == {"payload": b"\x80{", "_key": b"\xff\xfe\0", "_headers": odd, **sent}
    assert empty == {"payload": b"", "_key": b"", "_headers": None, **sent}
    assert nothing == {"payload": None, "_key": None, "_headers": None, **place, "_timestamp": None, "stamped": None}


def test_a_header_may_set_an_earlier_event_time_and_no_later_one() -> None:
    found = rows(*(record(headers=headers) for headers, _ in TIMES), record(at=None, headers=[(TIME, b"5")]))
    assert [row["_timestamp"] for row in found] == [*(at for _, at in TIMES), 5]


@pytest.mark.parametrize(("headers", "at"), TIMES)
def test_what_we_read_of_a_topic_has_the_same_time_as_raw(headers: Headers, at: int) -> None:
    assert raw_time(Message(topic="t", value=b"", headers=list(headers), timestamp=(1, AT))) == at


def test_a_topic_s_table_is_its_name_in_lower_case_unless_set() -> None:
    topics = ("crm.Leads", "Leads.v1", "leads.v1", "crm.Old", "crm.old", "TITLE.I")
    found = [row["_table"] for row in rows(*map(record, topics))]
    assert found == ["crm.leads", "crm.leads", "leads.v1", "crm.new", "crm.old", "title.i"]
