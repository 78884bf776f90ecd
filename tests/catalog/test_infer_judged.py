"""Contracts of `lake new` hold in conform: a row is good unless a comment reports it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from random import Random
from typing import Any

import duckdb
import pytest

from lake_assets.catalog.infer import infer
from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.render import render_contract
from lake_assets.catalog.sample import read_sample
from lake_assets.compile.judge import judge_sql
from lake_assets.landing.csv_lines import json_lines
from lake_assets.landing.envelope import envelope_reader
from lake_assets.landing.lines import event_lines


def contract_of(data: bytes) -> Asset:
    text = render_contract(
        infer(read_sample(data)), name="orders", domain="shop", owner="a@example.com", owner_is_known=True, origin="x"
    )
    return parse_contract(text, PurePath("orders.yaml"))


def judged(asset: Asset, events: list[bytes]) -> list[dict[str, Any]]:
    """Each event as conform's judge sees it, in order."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    connection.execute(
        "create table raw (payload blob, _key blob, _topic varchar, _partition integer, _offset bigint, "
        "_timestamp timestamptz)"
    )
    connection.executemany(
        "insert into raw values (?, null, 'shop.orders', 0, ?, '2026-01-01 00:00:00+00')",
        [(event, at) for at, event in enumerate(events)],
    )
    result = connection.execute(f"select * from ({judge_sql(asset, 'raw')}) order by _offset")
    names = [column[0] for column in result.description or []]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def codes(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(error["code"], error["field"]) for error in row["_errors"] or []]


def test_only_reported_rows_of_an_unknown_csv_go_to_quarantine() -> None:
    header = b"Order ID;Ordered On;Total Amount;Pieces;Paid;Remark;\n"
    rows = [
        f"A-{at};{1 + at % 28:02}.{1 + at % 12:02}.2026 10:{at % 60:02};{at}.{at % 100:02};{at};true;;\n".encode()
        for at in range(60)
    ]
    rows[7] = b"A-7;08.08.2026 10:07;n/a;7;true;;\n"
    rows[8] = b"A-8;09.09.2026 10:08;8.08;;true;;\n"
    rows[9] = b"A-9;10.10.2026 10:09;9.09;9;true;Br\xffken;\n"
    rows[10] = rows[11]
    data = header + b"".join(rows)
    asset = contract_of(data)
    result = judged(asset, list(json_lines(data.splitlines(keepends=True))))
    assert [(at, codes(row)) for at, row in enumerate(result) if row["_errors"]] == [
        (9, [("invalid_utf8", None)]),
    ]
    assert result[7]["total_amount"] is None
    assert result[59]["ordered_on"] == datetime(2026, 12, 4, 10, 59, tzinfo=UTC)
    assert (str(result[59]["total_amount"]), result[59]["pieces"], result[8]["pieces"]) == ("59.59", 59, None)
    assert all(row["_extra"] is None for row in result)


def test_decimal_commas_and_words_are_read_as_the_sample_showed() -> None:
    header = b"Id;At;Amount;Rate;Paid\n"
    rows = [
        "1;2026-01-01;12,50;0,155;ja",
        "2;2026-01-02;1.234,56;-1,5;Nein",
        "3;2026-01-03;1 234 567,8;2;JA",
        "4;2026-01-04;7;3,0;nein",
    ]
    data = header + "\n".join(rows).encode()
    asset = contract_of(data)
    result = judged(asset, list(json_lines(data.splitlines(keepends=True))))
    assert [codes(row) for row in result if row["_errors"]] == []
    assert [(str(row["amount"]), row["rate"], row["paid"]) for row in result] == [
        ("12.50", 0.155, True), ("1234.56", -1.5, False), ("1234567.80", 2.0, True), ("7.00", 3.0, False),
    ]  # fmt: skip
    unclear = [("1.234", "amount"), ("12.50", "amount"), (12.5, "amount"), ("1,2,3", "amount"), ("12,", "amount"),
               ("1,234.50", "amount"), ("12.34,5", "amount"), ("12,345", "amount"), ("1.5", "rate"), ("1,5e3", "rate"),
               ("inf", "rate"), ("true", "paid"), (True, "paid"), ("", "paid")]  # fmt: skip
    good = {"Id": "5", "At": "2026-01-05", "Amount": 12, "Rate": "1,5", "Paid": "ja"}
    events = [json.dumps({**good, name.capitalize(): value}).encode() for value, name in unclear]
    assert [codes(row) for row in judged(asset, events)] == [[("type", name)] for _, name in unclear]
    assert codes(judged(asset, [json.dumps(good).encode()])[0]) == []


@pytest.mark.parametrize(
    ("samples", "good", "bad"),
    [
        (["1,234,567", "12"], {"1,234": 1234, "+7": 7, "1,234.00": 1234, "12,34,567": 1234567},
         ["1,23", "0,123", "1,2345", "1.234,5", ",123", "12,345,67", "$5", "1 234"]),
        (["$1,234.50", "$5"], {"-$5": -5, "$-1,000": -1000, "$ 7": 7, "7 $": 7, "+$7.50": 7.5},
         ["5", "€5", "$$5", "-$-5", "$1,23", "$", "5 $ 6", "$1.234,50"]),
        (["1.234,56", "1.234", "7,5"], {"1.234.567": 1234567, "12": 12, "0,5": 0.5}, ["1.23", "1,234,5", "12.34,5"]),
        (["12.5 %", "3%"], {"0.5%": 0.5, "%7": 7}, ["0.5", "5 %%", "5 percent"]),
        (["1'234.50", "2"], {"1\u2019234": 1234}, ["1'23", "1,234"]),
        (["1 234 567", "12"], {"1\u00a0234": 1234, "1\u202f234": 1234}, ["1  234", "12 34"]),
    ],
)  # fmt: skip
def test_numbers_of_a_form_are_read_and_others_go_to_quarantine(
    samples: list[str], good: dict[str, float], bad: list[str]
) -> None:
    asset = contract_of("".join(f"{json.dumps({'x': one})}\n" for one in samples).encode())
    rows = judged(asset, [json.dumps({"x": text}).encode() for text in (*good, *bad)])
    assert [row["x"] for row in rows] == [*good.values(), *[None] * len(bad)]
    assert [codes(row) for row in rows] == [*[[]] * len(good), *[[("type", "x")]] * len(bad)]
    assert asset.fields[0].form in rows[-1]["_errors"][0]["message"]


@pytest.mark.parametrize(
    ("data", "times"),
    [
        ("id,d\n1,6/9/17\n2,6/23/17\n", ["2017-06-09", "2017-06-23"]),
        ("id,d\n1,7-Nov-25\n2,17-Nov-99\n", ["2025-11-07", "1999-11-17"]),
        ('{"ts":1588205199.82437,"x":1}\n{"ts":1588205199,"x":1}\n',
         ["2020-04-30 00:06:39.824370", "2020-04-30 00:06:39"]),
        ("Month,v\n1949-01,112\n1949-12,1\n", ["1949-01-01", "1949-12-01"]),
        ("q,v\n1974Q1,1\n1974Q4,1\n", ["1974-01-01", "1974-10-01"]),
        ('{"id":"a","meta":{"ts":"2025-01-01T00:00:00Z"}}', ["2025-01-01"]),
        ("year,month,day,v\n1994,1,1,5\n1994,12,31,5\n", ["1994-01-01", "1994-12-31"]),
        ("id,date\n1,2014-7-1\n2,2014-10-12\n", ["2014-07-01", "2014-10-12"]),
        ("id,Date\n1,10142018\n2,10152018\n", ["2018-10-14", "2018-10-15"]),
        ("id,Timestamp\n1, 1473387721\n2, 1473387722\n", ["2016-09-09 02:22:01", "2016-09-09 02:22:02"]),
        ("id,at\n1,2025-01-01 10:00:00 UTC\n", ["2025-01-01 10:00:00"]),
        ("id,at\n1,Tue Oct 10 13:55:36 +0000 2017\n", ["2017-10-10 13:55:36"]),
        ("id,at\n1,10/Oct/2000:13:55:36 -0700\n", ["2000-10-10 20:55:36"]),
        ("id;at\n1;Tue, 10 Oct 2017 13:55:36 +0200\n", ["2017-10-10 11:55:36"]),
        ("x,d,year\n1,9/24/06,1906\n2,2/27/06,2006\n3,12/1/78,1978\n", ["1906-09-24", "2006-02-27", "1978-12-01"]),
        ("x;d\n1;1939, May\n2;1960, March\n", ["1939-05-01", "1960-03-01"]),
        ("id,d\n1,2025-01-01\n2,NA\n3,2025-01-03\n", ["2025-01-01", None, "2025-01-03"]),
    ],
)  # fmt: skip
def test_a_recognisable_time_is_the_event_time_of_the_record_and_the_row(data: str, times: list[str | None]) -> None:
    asset = contract_of(data.encode())
    assert asset.event_time is not None
    events = list(event_lines(data.encode().splitlines(keepends=True), "-"))
    expected = [None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC) for text in times]
    rows = judged(asset, events)
    assert [row[asset.event_time] for row in rows] == expected
    assert [codes(row) for row in rows] == [[("missing", asset.event_time)] if at is None else [] for at in expected]
    assert all(row["_extra"] is None for row in rows)
    read = envelope_reader(asset)
    for event, at in zip(events, expected, strict=True):
        assert read(event)[1:] == ((None, "no_event_time") if at is None else (int(at.timestamp() * 1000), None))


def test_the_time_of_sending_is_that_of_the_record() -> None:
    data = b"id,name\n1,a\n2,b\n"
    asset = contract_of(data)
    events = list(json_lines(data.splitlines(keepends=True)))
    assert {row["_event_at"] for row in judged(asset, events)} == {datetime(2026, 1, 1, tzinfo=UTC)}
    assert [envelope_reader(asset)(event) for event in events] == [(b"1", None, None), (b"2", None, None)]


def test_keys_that_a_derived_field_is_read_from_stay_what_they_are() -> None:
    asset = contract_of(b'{"id": "a", "meta": {"ts": "2025-01-01T00:00:00Z", "x": 1}}')
    undeclared = replace(asset, fields=tuple(field for field in asset.fields if field.name != "meta"))
    event = b'{"id": "a", "meta": {"ts": "2025-01-01T00:00:00Z", "x": 1}, "other": 2}'
    (row,) = judged(asset, [event])
    assert (json.loads(row["meta"])["x"], json.loads(row["_extra"])) == (1, {"other": 2})
    (row,) = judged(undeclared, [event])
    assert (row["_errors"], json.loads(row["_extra"])["meta"]["x"]) == (None, 1)
    broken = [b'{"id": "a", "meta": 5}', b'{"id": "a", "meta": {"ts": {"x": 1}}}', b'{"id": "a"}']
    assert all("meta_ts" in dict(map(reversed, codes(row))) for row in judged(asset, broken))


def test_of_a_jsonl_file_every_row_is_good_and_every_value_kept() -> None:
    random = Random(7)
    began = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        {
            "orderId": f"o{at}",
            "created": (began + timedelta(minutes=at)).isoformat(),
            "epoch_ts": 1767225600000 + at,
            "price": round(random.random() * 100, 2),
            "lat": random.uniform(-90, 90),
            "tags": ["a", at],
            "kind": random.choice(["web", "shop"]),
            "group": at % 3,
            **({"coupon": "X"} if at % 4 == 0 else {}),
        }
        for at in range(600)
    ]
    events = [json.dumps(row).encode() for row in rows]
    asset = contract_of(b"\n".join(events))
    assert asset.key == ("order_id",)
    assert asset.field("kind").enum == ("shop", "web")
    result = judged(asset, events)
    assert [codes(row) for row in result if row["_errors"]] == []
    for row, kept in zip(rows, result, strict=True):
        assert kept["order_id"] == row["orderId"]
        assert kept["created"] == datetime.fromisoformat(str(row["created"]))
        assert kept["epoch_ts"] == datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=row["epoch_ts"])
        assert (float(kept["price"]), kept["lat"], kept["group_"]) == (row["price"], row["lat"], row["group"])
        assert json.loads(kept["tags"]) == row["tags"]
        assert kept["_extra"] is None
