"""Decisions of `lake new` from a sample, and soundness of its contract for any sample."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lake_assets.catalog.csv_dialect import SampleError
from lake_assets.catalog.date_shapes import date_shape
from lake_assets.catalog.infer import Inferred, infer
from lake_assets.catalog.model import Asset, Field
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.render import render_contract
from lake_assets.catalog.sample import read_sample

MOST_OTHER_LINES = 20


def text_of(inferred: Inferred) -> str:
    return render_contract(
        inferred, name="orders", domain="shop", owner="shop@example.com", owner_is_known=True, origin="orders.csv"
    )


def inferred_asset(data: str | bytes, event_time: str | None = None) -> tuple[Asset, str]:
    """The asset that a sample's contract defines, and the contract's text."""
    text = text_of(infer(read_sample(data if isinstance(data, bytes) else data.encode()), event_time))
    asset = parse_contract(text, PurePath("orders.yaml"))
    lines = text.splitlines()
    assert len(lines) - len(asset.fields) <= MOST_OTHER_LINES
    assert sum(line.startswith("      - {name: ") for line in lines) == len(asset.fields)
    return asset, text


def line_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if f"{{name: {name}," in line)


def column(values: list[Any], name: str = "x") -> tuple[Field, str]:
    """The field inferred from one column of JSON values beside an event time, and its line."""
    rows = [{"at": f"2026-01-01T00:00:{at % 60:02}Z", name: value} for at, value in enumerate(values)]
    asset, text = inferred_asset("\n".join(json.dumps(row) for row in rows))
    field = asset.fields[1]
    return field, line_of(text, field.name)


def csv_column(values: list[str], name: str = "x") -> tuple[Field, str]:
    """The same from a CSV."""
    rows = [f"2026-01-01T00:00:{at % 60:02}Z;{value}" for at, value in enumerate(values)]
    asset, text = inferred_asset(f"at;{name}\n" + "\n".join(rows))
    field = asset.fields[1]
    return field, line_of(text, field.name)


STRANGERS_CSV = (
    "Order ID;Customer;Amount;Pieces;Ordered On;Paid;ZIP;user;Remark\n"
    "A-1;Müller;12.50;1;05.01.2026 10:30;true;01099;x;\n"
    "A-2;Schmidt;100.00;2;06.01.2026 09:15;false;10115;y;\n"
    "A-3;O'Neil;7.99;1;17.01.2026 11:00;true;10115;z;hi; there\n".replace("hi; there", '"hi; ""there"""')
    + 'A-3;O\'Neil;7.99;1;17.01.2026 11:00;true;10115;z;"hi; ""there"""\n'
    "A-4;Ünal;n/a;3;18.01.2026 23:59;true;80331;z;\n"
    "A-5;Test;5.00;;19.01.2026 00:00;false;80331;z;\n"
    "A-6;Test;5.00;7;19.01.2026 00:00;false;80331;z;\n"
    "A-7;Test;15.00;7;19.01.2026 00:00;false;80331;z;\n"
    "A-8;Br\udcffken;1.00;1;20.01.2026 00:00;true;00000;q;\n"
)


def test_a_strangers_csv_becomes_a_contract_that_reads_it() -> None:
    asset, text = inferred_asset(STRANGERS_CSV.encode("utf-8", "surrogateescape"))
    assert [(field.name, str(field.type), field.required) for field in asset.fields] == [
        ("order_id", "string", True),
        ("customer", "string", True),
        ("amount", "decimal(12,2)", False),
        ("pieces", "integer", False),
        ("ordered_on", "timestamp", True),
        ("paid", "boolean", True),
        ("zip", "string", True),
        ("user_", "string", True),
        ("remark", "string", False),
    ]
    assert [field.payload_key for field in asset.fields][:2] == ["Order ID", "Customer"]
    assert (asset.key, asset.event_time) == (("order_id",), "ordered_on")
    assert asset.field("ordered_on").format == "dd.MM.yyyy HH:mm"
    assert asset.field("amount").nulls == ("n/a",)
    assert "{property: nulls, value: [n/a]}" in line_of(text, "amount")
    assert text.startswith("# yaml-language-server: $schema=../contract.schema.json\n")


def test_what_the_sample_does_not_let_decide_is_noted() -> None:
    inferred = infer(read_sample(STRANGERS_CSV.encode("utf-8", "surrogateescape")))
    assert inferred.notes == ("lines with bytes that are not UTF-8: 1; such events go to quarantine",)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3], "integer"),
        ([1.0, 2.0], "decimal(12,2)"),
        ([1, 2, 3.5], "decimal(12,2)"),
        ([1.5, 2.25], "decimal(12,2)"),
        ([0.123456, 7.1], "double"),
        ([1e-7, 2.0], "double"),
        ([True, False, None], "boolean"),
        (["true", "FALSE"], "boolean"),
        (["1", "2"], "string"),
        (["0123", "4567"], "string"),
        ([{"a": 1}, {}], "json"),
        ([[1], []], "json"),
        ([None, None], "string"),
        (["a", 1], "string"),
        ([10**17, 1], "integer"),
        ([10**20, 1], "string"),
        (["2026-01-05", "2026-02-28"], "date"),
        (["2026-01-05T10:00:00+02:00"], "timestamp"),
        (["2026-02-30"] * 3, "string"),
    ],
)
def test_a_json_column_has_the_narrowest_type_of_all_its_values(values: list[Any], expected: str) -> None:
    assert str(column(values)[0].type) == expected


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("amount", ["1", "250"], "integer"),
        ("work_life_balance", ["1", "4"], "integer"),
        ("total", ["399.0", "12.0"], "decimal(12,2)"),
        ("net_amount", ["1.2345", "250"], "decimal(12,4)"),
        ("price_eur", ["123456789.00"], "decimal(18,2)"),
        ("payment_id", ["1", "2"], "integer"),
        ("discount_rate", ["0.15", "0.20"], "double"),
        ("phone", ["4912345", "4967890"], "string"),
        ("zip", ["80331", "10115"], "string"),
        ("size", ["12,50", "1.234,00"], "decimal(12,2)"),
        ("discount_rate", ["0,15", "0,2"], "double"),
        ("size", ["1,234", "12,500"], "string"),
        ("size", ["1,234.56", "12.50"], "decimal(12,2)"),
        ("size", ["1,234,567", "2,345,678"], "integer"),
    ],
)
def test_the_name_distinguishes_money_and_codes_from_other_numbers(name: str, values: list[str], expected: str) -> None:
    assert str(csv_column(values, name)[0].type) == expected


def test_a_decimal_comma_is_read_where_a_value_proves_it() -> None:
    field, line = csv_column(["12,50", "1.234,00", "1 234 567,5", "7", "-0,10"])
    assert (str(field.type), field.format) == ("decimal(12,2)", "decimal comma")
    assert "conform reads" not in line
    _, line = csv_column(["1,234", "12,500"])
    assert "numbers with a comma that may stand before thousands" in line


@pytest.mark.parametrize(
    ("values", "type_", "form"),
    [
        (["1,234,567", "1,234", "12"], "integer", "thousands comma"),
        (["12,34,567", "1,23,456", "99"], "integer", "thousands comma"),
        (["1,234.50", "12"], "decimal(12,2)", "thousands comma"),
        (["1.234.567", "1.234"], "integer", "thousands point"),
        (["1.234,56", "1.234", "7,5"], "decimal(12,2)", "decimal comma, thousands point"),
        (["1 234 567", "12"], "integer", "thousands space"),
        (["601 234 567", "501 234 567"], "string", ""),
        (["1'234.50", "12.00"], "decimal(12,2)", "thousands apostrophe"),
        (["$1,234.50", "-$5.00", "$-3.10"], "decimal(12,2)", "thousands comma, unit $"),
        (["$85", "$1,250"], "decimal(12,2)", "thousands comma, unit $"),
        (["999 €", "1.234 €"], "decimal(12,2)", "decimal comma, thousands point, unit €"),
        (["€ 5", "€ 7,50"], "decimal(12,2)", "decimal comma, unit €"),
        (["USD 5", "USD 6.10"], "decimal(12,2)", "unit USD"),
        (["12.5 %", "3%"], "decimal(12,2)", "unit %"),
        (["0,123", "0,555"], "double", "decimal comma"),
        ([*["2"] * 28, "2,2"], "string", ""),
        (["$5", "€5"], "string", ""),
        (["A1", "A2"], "string", ""),
        (["5 kg", "6 kg"], "string", ""),
    ],
)
def test_a_form_of_numbers_is_taken_where_values_prove_it(values: list[str], type_: str, form: str) -> None:
    field, _ = csv_column(values)
    assert (str(field.type), field.form) == (type_, form)


@pytest.mark.parametrize(
    ("values", "sign"),
    [(["1,234", "12,345", "12"], "comma"), (["$1,250", "$1,300"], "comma"), (["1.234 €", "2.345 €"], "point")],
)
def test_a_sign_before_thousands_or_a_fraction_makes_a_text_with_a_note(values: list[str], sign: str) -> None:
    field, line = csv_column(values)
    assert (str(field.type), field.form) == ("string", "")
    assert f"a {sign} that may stand before thousands or a fraction: text until thousandsSeparator" in line


def test_months_with_a_number_that_may_be_a_day_are_no_dates() -> None:
    assert csv_column(["Sep-99", "May-05"])[0].format == "MMM-yy"
    assert str(csv_column(["Sep-13", "May-05"])[0].type) == "string"


def test_two_digit_years_that_another_column_proves_have_no_doubt() -> None:
    rows = "".join(f"{n},{n}/15/{n:02},{2000 + n}\n" for n in range(1, 12))
    asset, text = inferred_asset(f"id,d,year\n{rows}")
    assert (asset.field("d").format, "is the year" in line_of(text, "d")) == ("M/dd/yy", False)
    other = rows.replace(",20", ",19", 1)
    _, text = inferred_asset(f"id,d,year\n{other}")
    assert "two digits and of more than one century: d_in_full takes them from year" in line_of(text, "d")


def test_two_digit_years_far_ahead_make_a_text_that_asks_for_the_century() -> None:
    field, line = csv_column(["6/9/17", "6/23/63"])
    assert str(field.type) == "string"
    assert "of 1963 or 2063: a text until it is a date with firstYear" in line
    assert csv_column(["6/9/17", "6/23/73"])[0].format == "M/d/yy"


def test_one_word_is_a_boolean_beside_a_column_of_its_name_with_both() -> None:
    asset, _ = inferred_asset("paid1,paid2,kind2\nyes,,yes\nno,yes,yes\n")
    assert [str(one.type) for one in asset.fields] == ["boolean", "boolean", "string"]


def test_the_time_when_a_thing_of_an_event_was_made_is_not_the_events() -> None:
    made = '"created_at": "2019-05-15T15:19:25Z"'
    assert inferred_asset(f'{{"action": "a", "data": {{{made}}}}}')[0].event_time == "data_created_at"
    assert inferred_asset(f'{{"action": "a", "repository": {{"id": 5, {made}}}}}')[0].event_time is None


def test_two_words_of_a_csv_are_a_boolean_when_both_occur() -> None:
    for words, form in ((["yes", "No", "NO"], "yes/no"), (["ja", "nein"], "ja/nein"), (["Y", "N"], "y/n")):
        field, _ = csv_column(words)
        assert (str(field.type), field.format) == ("boolean", form)
    for words in (["yes", "yes"], ["yes", "maybe"], ["red", "blue"]):
        assert str(csv_column(words)[0].type) == "string"
    assert str(column(["yes", "no"])[0].type) == "string"


def test_one_bad_number_among_good_ones_does_not_make_a_text() -> None:
    field, line = csv_column([*map(str, range(19)), "oops"])
    assert str(field.type) == "integer"
    assert "1 of 20 values, such as 'oops', will go to quarantine" in line


def test_many_bad_numbers_make_a_text_with_a_note() -> None:
    field, line = csv_column([*map(str, range(15)), *["none of it"] * 5])
    assert str(field.type) == "string"
    assert "15 of 20 are whole numbers, but not all, such as 'none of it'," in line


@pytest.mark.parametrize(
    ("values", "format_", "doubt"),
    [
        (["05.01.2026", "17.12.2026"], "dd.MM.yyyy", None),
        (["5.1.2026", "17.12.2026"], "d.M.yyyy", None),
        (["05/01/2026", "17/01/2026"], "dd/MM/yyyy", None),
        (["01/05/2026", "01/17/2026"], "MM/dd/yyyy", None),
        (["01/05/2026", "01/06/2026"], "MM/dd/yyyy", "may be day first"),
        (["05/01/2026", "06/01/2026"], "dd/MM/yyyy", "may be month first"),
        (["01/05/2026 9:05 AM", "01/17/2026 11:05 PM"], "MM/dd/yyyy h:mm a", None),
        (["2026/01/05 10:00:00", "2026/01/06 10:00:00"], "yyyy/MM/dd HH:mm:ss", None),
        (["5 Jan 2026", "17 Feb 2026"], "d MMM yyyy", None),
        (["January 5, 2026", "February 17, 2026"], "MMMM d, yyyy", None),
        (["05.01.2026 10:00:00.123", "06.01.2026 10:00:00.456"], "dd.MM.yyyy HH:mm:ss.SSS", None),
        (["17/01/2026 10:00:00+02:00"], "dd/MM/yyyy HH:mm:ssxxx", None),
        (["17/01/2026T10:00:00Z"], "dd/MM/yyyy'T'HH:mm:ss'Z'", None),
        (["05.01.26", "06.01.26"], "dd.MM.yy", "is the year 1969 to 2068?"),
        (["6/9/17", "6/23/17"], "M/d/yy", "is the year 1969 to 2068?"),
        (["12/1/09 7:45", "12/13/09 17:45"], "MM/d/yy H:mm", "is the year 1969 to 2068?"),
        (["7-Nov-25", "17-Nov-25"], "d-MMM-yy", "is the year 1969 to 2068?"),
        (["2014-7-1", "2014-10-12"], "yyyy-M-d", None),
        (["2014-10-12", "2014-11-12"], None, None),
        (["2025-01-01 10:00:00 UTC"], "yyyy-MM-dd HH:mm:ss 'UTC'", None),
        (["Tue, 10 Oct 2017 13:55:36 +0000"], "EEE, dd MMM yyyy HH:mm:ss xx", None),
        (["Tue, 10 Oct 2017 13:55:36 GMT"], "EEE, dd MMM yyyy HH:mm:ss 'GMT'", None),
        (["10/Oct/2000:13:55:36 -0700"], "dd/MMM/yyyy:HH:mm:ss xx", None),
        (["Tue Oct 10 13:55:36 +0000 2017"], "EEE MMM dd HH:mm:ss xx yyyy", None),
        (["Tue Oct  3 13:55:36 2017", "Tue Oct 10 13:55:36 2017"], "EEE MMM d HH:mm:ss yyyy", None),
        (["1949-01", "1949-12"], "yyyy-MM", None),
        (["Jan 1949", "Dec 1949"], "MMM yyyy", None),
        (["1974Q1", "1974Q2"], "yyyy'Q'Q", None),
        (["1974-Q1", "1974-Q4"], "yyyy-'Q'Q", None),
    ],
)
def test_dates_are_read_in_the_files_own_format(values: list[str], format_: str | None, doubt: str | None) -> None:
    field, line = csv_column(values)
    assert field.format == format_
    assert field.type.name in ("date", "timestamp")
    if doubt:
        assert doubt in line
    else:
        assert "first:" not in line
        assert "is the year" not in line


def test_day_or_month_first_is_decided_by_the_whole_sample() -> None:
    days = [f"{day:02}/01/2026" for day in range(1, 13)] * 50
    assert csv_column([*days, "13/01/2026"])[0].format == "dd/MM/yyyy"
    assert csv_column([*days, "01/13/2026"])[0].format == "MM/dd/yyyy"


@pytest.mark.parametrize(
    ("name", "value", "format_"),
    [
        ("created_at", 1767225600000, "epoch_millis"),
        ("created_at", 1767225600, "epoch_seconds"),
        ("stamp", 1767225600000, "epoch_millis"),
        ("stamp", 1767225600, None),
        ("article", 4006381333931, None),
        ("order_date", 20260105, "yyyyMMdd"),
        ("article", 20260105, None),
        ("ts", 1588205199.82437, "epoch_seconds"),
        ("ts", "1503435956.000247", "epoch_seconds"),
        ("x", 1588205199.82437, None),
        ("order_date", 10142018, "MMddyyyy"),
        ("month", 202604, "yyyyMM"),
        ("article", 202604, None),
    ],
)
def test_numbers_are_dates_only_where_name_or_range_shows_it(name: str, value: int, format_: str | None) -> None:
    assert column([value, value], name)[0].format == format_


def test_compact_days_that_may_be_months_are_reported() -> None:
    assert "may be day first" in column([10112018, 10122018], "order_date")[1]
    assert "first:" not in column([10112018, 10142018], "order_date")[1]


def test_twelve_in_the_morning_is_midnight() -> None:
    assert instant_at("12:30 AM") == datetime(2026, 1, 13, 0, 30, tzinfo=UTC)
    assert instant_at("12:30 PM") == datetime(2026, 1, 13, 12, 30, tzinfo=UTC)


def instant_at(clock: str) -> datetime | None:
    """The instant of this time of the 13th of January 2026."""
    shape = date_shape({f"1/13/2026 {clock}": 1}, "at")
    return shape and min(shape.instants)


@pytest.mark.parametrize(
    "values", [["1.2.10", "1.3.12"], ["10-11-2", "10-11-12"], ["2012-13", "2013-14"], ["4.11", "5.12"]]
)
def test_versions_seasons_and_scores_are_no_dates(values: list[str]) -> None:
    assert csv_column(values)[0].type.name not in ("date", "timestamp")


def test_a_column_is_required_when_the_sample_never_leaves_it_empty() -> None:
    assert column(["a", "b"])[0].required
    assert not column(["a", None])[0].required
    assert column(["a", ""])[0].required
    assert not csv_column(["a", ""])[0].required


@pytest.mark.parametrize(
    ("values", "rule", "check"),
    [
        (["web", "shop", "phone"] * 200, True, False),
        (["web", "shop", "phone"] * 20, False, True),
        (["web", "shop"] * 300 + ["fax", "fax"], False, True),
        (["web", "shop"] * 5, False, False),
        (["web", "shop"] * 100 + ["wbe"], False, False),
        (["web"] * 600, False, False),
        ([f"v{at % 40}" for at in range(600)], False, False),
    ],
)
def test_few_values_are_a_rule_only_on_strong_evidence_and_else_a_warning(
    values: list[str], rule: bool, check: bool
) -> None:
    rows = [{"at": "2026-01-01T00:00:00Z", "x": value} for value in values]
    asset, _ = inferred_asset("\n".join(json.dumps(row) for row in rows))
    assert asset.field("x").enum == (tuple(sorted(set(values))) if rule else ())
    assert [(one.name, one.blocking) for one in asset.checks] == ([("x_invalid_values", False)] if check else [])


def rows_with(*keys: str, doubled: int = 0) -> str:
    rows = [{"at": "2026-01-01T00:00:00Z", **{key: f"{key}{at}" for key in keys}} for at in range(100)]
    return "\n".join(json.dumps(row) for row in [*rows, *rows[:doubled]])


def test_the_time_of_sending_is_proposed_where_a_file_has_no_time() -> None:
    asset, text = inferred_asset("a,when_sold,left_at\n1,now,2026-01-01\n2,17.x,\n3,2026-01-01,\n")
    assert asset.event_time is None
    landing = next(line for line in text.splitlines() if "eventTime: sent" in line)
    assert landing.partition("# ")[2] == (
        "event time: no column is a date or time of nearly every row ('when_sold': 1 of 3 values are days as ISO 8601, "
        "but not all, such as 'now'; 'left_at': empty in 2 rows): so it is the time of sending"
    )
    assert inferred_asset("at,n\n2026-01-01,1\n", "sent")[0].event_time is None


@pytest.mark.parametrize(
    ("step", "rows", "window", "why"),
    [
        (timedelta(days=1), 40, "month", "; window: a month, since the sample has 1 rows a day on 40 days"),
        (timedelta(days=1), 31, "day", ""),
        (timedelta(minutes=5), 11_520, "month", "; window: a month, since the sample has 288 rows a day on 40 days"),
        (timedelta(seconds=86), 32_100, "day", ""),
        (timedelta(milliseconds=120), 61_000, "hour", "; window: an hour, since the sample has 20333 rows an hour"),
    ],
)
def test_the_window_is_chosen_by_how_many_rows_it_holds(step: timedelta, rows: int, window: str, why: str) -> None:
    start = datetime(2026, 1, 1)
    asset, text = inferred_asset("at,n\n" + "".join(f"{(start + at * step).isoformat()},{at}\n" for at in range(rows)))
    assert asset.window == window
    landing = next(line for line in text.splitlines() if "eventTime" in line)
    assert why in landing
    assert why or "window: a" not in landing


def test_a_column_named_sent_leaves_the_word_to_the_time_of_sending() -> None:
    asset, _ = inferred_asset("sent,n\nyes,1\n")
    assert (asset.event_time, asset.fields[0].name, asset.fields[0].payload_key) == (None, "sent_", "sent")
    assert inferred_asset("sent,n\n2026-01-01,1\n")[0].event_time == "sent"


def test_a_nested_time_is_the_event_time_where_no_column_is_one() -> None:
    rows = [
        {"id": at, "meta": {"ts": f"2026-01-0{at}T00:00:00Z", "by": {"at": f"2026-02-0{at}"}}} for at in range(1, 4)
    ]
    data = "\n".join(json.dumps(row) for row in rows)
    asset, text = inferred_asset(data)
    assert (asset.event_time, asset.field("meta_ts").path) == ("meta_ts", ("meta", "ts"))
    assert "chosen over meta.by.at: name another with --event-time" in text
    assert inferred_asset(data, "meta.by.at")[0].event_time == "meta_by_at"
    assert asset.field("meta").type.name == "json"


@pytest.mark.parametrize(
    ("data", "join", "format_"),
    [
        ("year,month,day,v\n1994,1,1,5\n1994,11,12,5\n", ("year", "month", "day"), "yyyy M d"),
        ("Year,Month,v\n1994,Jan,5\n1994,Dec,5\n", ("Year", "Month"), "yyyy MMM"),
    ],
)
def test_year_month_and_day_of_their_own_are_joined(data: str, join: tuple[str, ...], format_: str) -> None:
    asset, _ = inferred_asset(data)
    field = asset.field("event_time")
    assert (asset.event_time, field.join, field.format) == ("event_time", join, format_)
    assert asset.field("year").type.name == "integer"


def test_missing_values_of_a_time_column_do_not_hide_it() -> None:
    asset, text = inferred_asset("id,d\n1,2025-01-01\n2,NA\n3,2025-01-03\n")
    assert (asset.event_time, asset.field("d").nulls, asset.field("d").required) == ("d", ("NA",), True)
    assert "rows without it go to quarantine" in line_of(text, "d")


@pytest.mark.parametrize("word", ["NA", "N/A", "n/a", "NaN", "null", "NULL", "None", "-", "?", "Unknown", " "])
def test_words_for_missing_are_null_where_the_others_are_no_texts(word: str) -> None:
    for values in (["1", word, "3"], ["1.5", word], ["true", word, "false"], ["2026-01-05", word, word]):
        field, _ = csv_column(values)
        assert (field.nulls, field.required) == ((word,), False)
        assert field.type.name != "string"
    assert csv_column(["north", word, "south"])[0].nulls == ()
    assert csv_column([word, word])[0].nulls == ()


def test_a_column_that_different_rows_share_is_no_key_and_counts_them() -> None:
    rows = [{"id": at, "at": "2026-01-01T00:00:00Z", "v": at} for at in range(99)] + [
        {"id": 5, "at": "2026-01-01T00:00:00Z", "v": "x"}
    ]
    data = "\n".join(json.dumps(row) for row in rows)
    asset, text = inferred_asset(data)
    assert asset.key == ()
    assert "no key: 2 of 100 different rows share their id with another" in line_of(text, "id")


def test_the_key_is_a_unique_column_with_a_keys_name() -> None:
    assert inferred_asset(rows_with("note", "lead_id"))[0].key == ("lead_id",)
    assert inferred_asset(rows_with("customer_id", "id"))[0].key == ("id",)
    assert inferred_asset(rows_with("lead_id", doubled=30))[0].key == ("lead_id",)
    assert inferred_asset(rows_with("note"))[0].key == ()


def test_two_columns_are_the_key_when_neither_is_alone() -> None:
    rows = [{"order_id": f"o{at // 4}", "line_no": at % 4, "at": "2026-01-01T00:00:00Z", "v": at} for at in range(80)]
    asset, text = inferred_asset("\n".join(json.dumps(row) for row in rows))
    assert asset.key == ("order_id", "line_no")
    assert "part of the key" in line_of(text, "line_no")


def test_a_column_that_repeats_is_no_key() -> None:
    rows = [{"customer_id": at % 10, "at": "2026-01-01T00:00:00Z", "v": at} for at in range(100)]
    inferred = infer(read_sample("\n".join(json.dumps(row) for row in rows).encode()))
    assert not any(one.key_position for one in inferred.fields)
    assert "no column is unique and named like a key" in inferred.notes[0]


def test_the_event_time_is_when_it_happened_and_not_a_later_change() -> None:
    data = "updated_at,birth_date,created_at\n" + "2026-02-01T00:00:00Z,1980-01-01,2026-01-01T00:00:00Z\n" * 3
    assert inferred_asset(data)[0].event_time == "created_at"
    assert inferred_asset(data, "updated_at")[0].event_time == "updated_at"
    # Also where both names hint as little at an event.
    assert inferred_asset(data.replace("created_at", "read_at"))[0].event_time == "read_at"


def test_days_serve_as_event_time_when_there_is_nothing_finer() -> None:
    asset, text = inferred_asset("day,n\n2026-03-01,1\n2026-03-02,2\n")
    assert (asset.field("day").type.name, asset.field("day").format) == ("timestamp", "yyyy-MM-dd")
    assert "each counts as midnight UTC" in line_of(text, "day")


def test_days_among_times_are_no_times() -> None:
    rows = "2026-03-01T10:00:00Z,2026-03-02T11:00\n2026-03-02T10:00:00Z,2026-03-02\n" * 9
    asset, _ = inferred_asset("at,ended\n" + rows)
    assert asset.field("ended").type.name == "string"


def test_numbers_may_begin_with_their_point() -> None:
    field = inferred_asset("at,width\n2026-03-01,12.5\n2026-03-02,-.25\n")[0].field("width")
    assert str(field.type) == "decimal(12,2)"


def test_years_may_name_columns_with_gaps() -> None:
    header = "country,1990,1995,2000,2001"
    fields = inferred_asset(f"{header}\nPeru,1,2,3,4\n")[0].fields
    assert [field.payload_key for field in fields] == header.split(",")


def test_one_year_may_name_a_column() -> None:
    assert [field.name for field in inferred_asset("state,2022\nAlabama,-29.2\nAlaska,-14.6\n")[0].fields] == [
        "state",
        "n_2022",
    ]
    for rows in ("Alabama,2021\nAlaska,2022\nOhio,2022\n", "Lamp,1999\nCup,25\nPen,3\n"):
        with pytest.raises(SampleError, match="looks like data"):
            inferred_asset(rows)


@pytest.mark.parametrize(
    ("data", "event_time", "sentence"),
    [
        (b"", None, "the sample is empty"),
        (b"\n \n", None, "the sample is empty"),
        (b"a,b\n", None, "a header but no rows"),
        (b"1,2026-01-05\n2,2026-01-06\n", None, "looks like data ('1'), not like a header"),
        (b"at,b\n2026-01-05,2\n", "when", "--event-time when: the sample has no such column"),
        (b"at,b\n2026-01-05,2\n", "b", "--event-time b: that column is not a date or time"),
        (b'{\n "at": 1,\n "b": 2\n}\n', None, "fewer than half of the lines are JSON objects"),
        (b"{}\n{}\n", None, "objects are all empty"),
        (b"a\x00b", None, "not a text file"),
        ("a,b\n" + "\xff\xfe,1\n" * 9, None, "not UTF-8: convert the file first"),
    ],
)
def test_a_file_that_cannot_be_a_sample_is_refused_with_what_to_do(
    data: bytes | str, event_time: str | None, sentence: str
) -> None:
    with pytest.raises(SampleError) as caught:
        infer(read_sample(data.encode("latin-1") if isinstance(data, str) else data), event_time)
    assert sentence in str(caught.value)


def test_broken_lines_are_counted_and_do_not_matter() -> None:
    good = '{"at": "2026-01-01T00:00:00Z", "x": 1}\n'
    sample = read_sample((good * 5 + "not json\n[1]\n" + '{"x": NaN}\n').encode())
    assert (len(sample.rows), sample.unreadable) == (5, 3)


def test_a_csv_is_read_as_produce_sends_it() -> None:
    inferred = infer(read_sample(b"day,,n,\n2026-01-05,x,1,\n2026-01-06,y,2,,more\n ,\n2026-01-07\n"))
    assert [(one.name, one.source, one.required) for one in inferred.fields] == [
        ("day", "day", True),
        ("column_2", "column_2", False),
        ("n", "n", False),
    ]
    assert "rows with more cells than the header: 1; the further ones are kept in _extra" in inferred.notes


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_explains_the_rows(delimiter: str) -> None:
    lines = [["day", "note", "n"], ["2026-01-01", '"a, b; c | d\te"', "1"], ["2026-01-02", "x", "2"]]
    data = "\ufeff" + "\r\n".join(delimiter.join(line) for line in lines)
    assert [field.name for field in inferred_asset(data)[0].fields] == ["day", "note", "n"]


def test_keys_that_cannot_be_fields_stay_in_extra_and_are_noted() -> None:
    row = {"at": "2026-01-01", "a\nb": 1, "Name": 1, "name": 2, "": 3}
    inferred = infer(read_sample(json.dumps(row).encode()))
    assert [(one.name, one.source) for one in inferred.fields] == [("at_", "at"), ("name", "Name"), ("name_2", "name")]
    assert "not declared, so kept in _extra: 'a\\nb', ''" in inferred.notes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
HOSTILE = st.sampled_from(["true", "null", "- x", "{a", "#", "a: b", "*x", "&x", "'", '"', "\\", "\u2028", "\x7f", "😀",
                           "no", "=", "2026-01-05", "1e5", "-0", "0x1F", "1_000", "~", "%", "user", "_id"])  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    rows=st.lists(st.dictionaries(HOSTILE | st.text(max_size=10), JSON | HOSTILE, max_size=5), min_size=1, max_size=12)
)
def test_any_json_sample_becomes_a_sound_contract_with_the_payload_keys(rows: list[dict[str, Any]]) -> None:
    data = "\n".join(json.dumps({"at": "2026-01-01T00:00:00Z", **row}) for row in rows)
    assume(all(row.get("at", "2026-01-01").startswith("2026") for row in rows if isinstance(row.get("at", ""), str)))
    try:
        inferred = infer(read_sample(data.encode()))
    except SampleError:
        return
    asset = parse_contract(text_of(inferred), PurePath("orders.yaml"))
    assert [field.payload_key for field in asset.fields] == [one.source for one in inferred.fields]
    assert len(text_of(inferred).splitlines()) - len(asset.fields) <= MOST_OTHER_LINES
    known = {key.lower() for row in rows for key in row} | {"at"}
    assert {field.payload_key.lower() for field in asset.fields} <= known


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_become_a_sound_contract_or_are_refused(data: bytes) -> None:
    try:
        inferred = infer(read_sample(data))
    except SampleError:
        return
    parse_contract(text_of(inferred), PurePath("orders.yaml"))


@settings(max_examples=60, deadline=None)
@given(
    start=st.datetimes(datetime(2001, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
    form=st.sampled_from(
        ["%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d-%b-%Y %I:%M %p", "%Y%m%d%H%M%S"]
    ),
)
def test_the_inferred_format_reads_the_sample_back(start: datetime, form: str) -> None:
    import duckdb

    from lake_assets.catalog.formats import strptime_format

    times = [start + timedelta(days=step) for step in range(40)]
    asset, _ = inferred_asset(
        "happened_at,n\n" + "\n".join(f"{time.strftime(form)},{n}" for n, time in enumerate(times))
    )
    format_ = asset.field("happened_at").format
    read = "cast($1 as timestamp)" if format_ is None else f"strptime($1, '{strptime_format(format_)}')"
    for time in times:
        (same,) = duckdb.execute(f"select {read} = strptime($1, $2)", [time.strftime(form), form]).fetchone() or (None,)
        assert same is True
