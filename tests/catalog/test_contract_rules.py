"""Assets read from sound contracts, and the word that is named in an unsound one."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path, PurePath

import pytest

from lake_assets.catalog.model import Check, Field, FieldType
from lake_assets.catalog.parse import check_together, parse_contract
from lake_assets.catalog.problems import ContractError
from lake_assets.project import read_files
from lake_assets.settings import load_settings
from tests.support.contracts import CONTRACT, FILE, changed, parse, problems


def test_a_sound_contract_becomes_the_asset_it_describes() -> None:
    asset = parse()
    assert (asset.name, asset.domain, asset.version, asset.topic) == ("orders", "shop", "1.0.0", "shop.orders")
    assert (asset.description, asset.owners) == ("One row per order.", ("shop@example.com",))
    assert (asset.key, asset.event_time) == (("order_id",), "ordered_at")
    assert (asset.window, asset.partitions, asset.engine, asset.unknown_fields) == ("day", 4, "auto", "keep")
    assert (asset.freshness, asset.compatibility, asset.path) == (timedelta(hours=2), "additive", FILE)
    assert [str(field.type) for field in asset.fields] == [
        "string", "decimal(12,2)", "string", "string", "double", "integer", "boolean", "date", "json", "timestamp",
    ]  # fmt: skip
    assert asset.field("amount") == Field(
        "amount", FieldType("decimal", 12, 2), minimum=Decimal(0), maximum=Decimal("0.5")
    )
    assert asset.field("origin").enum == ("web", "no")
    assert (asset.field("country").pattern, asset.field("country").classification) == ("^[A-Z]{2}$", "internal")
    assert asset.field("pieces").payload_key == "Number of Pieces"
    assert asset.field("due").format == "dd.MM.yyyy"
    assert asset.field("order_id").max_length == 40
    assert asset.checks == (
        Check(
            "rate_null_values",
            "select coalesce(100.0 * count(case when rate is null then 1 end) / nullif(count(*), 0), 0) from conformed",
            "<",
            (Decimal(50),),
            blocking=False,
        ),
        Check("row_count", "select count(*) from conformed", ">", (Decimal(0),)),
        Check("no_large_order", "select count(*) from conformed where amount > 1000", "=", (Decimal(0),)),
    )


def test_what_is_left_out_has_the_documented_default() -> None:
    text = CONTRACT
    for line in text.splitlines():
        if any(word in line for word in ("slaProperties", "property: conform", "property: compatibility")):
            text = text.replace(line + "\n", "")
    asset = parse(text.replace("window: day, partitions: 4", "partitions: 4"))
    assert (asset.window, asset.partitions, asset.topic) == ("day", 4, "shop.orders")
    assert (asset.engine, asset.entrypoint, asset.unknown_fields) == ("auto", None, "keep")
    assert (asset.compatibility, asset.freshness) == ("additive", None)


def test_a_contract_with_a_start_is_the_same_as_one_without() -> None:
    assert parse(changed("window: day", "window: day, start: 2026-01-01")) == parse(CONTRACT)


def test_the_key_follows_primary_key_positions() -> None:
    text = changed("primaryKey: true,", "primaryKey: true, primaryKeyPosition: 2,").replace(
        "{name: paid, logicalType: boolean}",
        "{name: paid, logicalType: boolean, required: true, primaryKey: true, primaryKeyPosition: 1}",
    )
    assert parse(text).key == ("paid", "order_id")


def test_the_example_contracts_are_sound_and_each_field_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKE_CATALOG", raising=False)
    catalog = read_files(load_settings()).assets
    assert list(catalog) == ["contracts", "leads", "sales"]
    for asset in catalog.values():
        assert all(field.description for field in asset.fields), asset.name


TYPOS = [
    ("logicalType: timestamp", "logicalType: timestam", ":28: schema[0].properties[9].logicalType: 'timestam'",
     "Did you mean 'timestamp'?"),
    ("required: true, primaryKey", "requierd: true, primaryKey", ":19: schema[0].properties[0].requierd:",
     "unknown key 'requierd'. Did you mean 'required'?"),
    ("eventTime: ordered_at", "eventTime: orderd_at", ":13: customProperties[0].value.eventTime:",
     "'orderd_at' is not a field. Did you mean 'ordered_at'?"),
    ("eventTime: ordered_at", "evenTime: ordered_at", ":13: customProperties[0].value.evenTime:",
     "unknown key 'evenTime'. Did you mean 'eventTime'?"),
    ("metric: nullValues", "metric: nulValues", ":23: schema[0].properties[4].quality[0].metric: 'nulValues'",
     "Did you mean 'nullValues'?"),
    ("mustBeLessThan", "mustBeLesThan", ":23: schema[0].properties[4].quality[0].mustBeLesThan:",
     "Did you mean 'mustBeLessThan'?"),
    ("team: {name", "teem: {name", ":10: teem: unknown key 'teem'.", "Did you mean 'team'?"),
    ("engine: auto", "engine: sparc", ":14: customProperties[1].value.engine: 'sparc'", "Did you mean 'spark'?"),
    ("window: day", "window: dayly", ":13: customProperties[0].value.window: 'dayly'", "Did you mean 'day'?"),
    ("property: conform", "property: confirm", ":14: customProperties[1].property: 'confirm'",
     "Did you mean 'conform'?"),
    ("unknownFields", "unknownfields", ":14: customProperties[1].value.unknownfields:",
     "Did you mean 'unknownFields'?"),
    ("status: active", "status: activ", ":7: status: 'activ'", "Did you mean 'active'?"),
    ("classification: internal", "classification: internl", ":22: schema[0].properties[3].classification: 'internl'",
     "Did you mean 'internal'?"),
    ("minLength: 1", "minLenght: 1", ":19: schema[0].properties[0].logicalTypeOptions.minLenght:",
     "Did you mean 'minLength'?"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "place", "advice"), TYPOS, ids=[wrong for _, wrong, _, _ in TYPOS])
def test_a_typo_is_reported_once_with_its_place_and_the_right_word(
    right: str, wrong: str, place: str, advice: str
) -> None:
    (problem,) = problems(changed(right, wrong))
    assert problem.startswith(f"{FILE}{place}")
    assert advice in problem


RULES = [
    ("team: {name: shop, members: [{username: shop@example.com, role: owner}]}\n", "", "who owns this?"),
    ("role: owner", "role: steward", "no member has role: owner"),
    ("username: shop@example.com", "username: shop", "a username is an e-mail address"),
    ("eventTime: ordered_at", "eventTime: due", "'due' is date; the event time must be a timestamp."),
    ("logicalType: timestamp, required: true,", "logicalType: timestamp,", "is the event time, so it must be required"),
    ("required: true, primaryKey", "primaryKey", "is part of the key, so it must be required: true"),
    ("{name: customer, logicalType: object}", "{name: customer, logicalType: object, required: true, primaryKey: true}",
     "a key must identify rows exactly; json cannot"),
    ("decimal(12,2)", "decimal", "'decimal' has no precision: write decimal(precision,scale)"),
    ("decimal(12,2)", "decimal(39,2)", "39 digits; 1 to 38 are possible"),
    ("decimal(12,2)", "decimal(2,12)", "more digits after the point than in all"),
    ('"decimal(12,2)"', "double", "'amount' looks like money, and money is never double"),
    ("physicalType: double, ", "", "a number is decimal(precision,scale), or double when it is not money"),
    ("logicalType: boolean", "logicalType: boolean, physicalType: double", "only a number has a physicalType"),
    ("name: country", "name: Country", "such as 'country'"),
    ("name: country", "name: order", "is a reserved word of SQL"),
    ("name: country", "name: _country", "begins with an underscore, as the lake's own columns do"),
    ("name: country", f"name: {'c' * 64}", "longer than 63 characters"),
    ("name: country", "name: order_id", "'order_id' is the name of two fields"),
    ('physicalName: "Number of Pieces"', "physicalName: order_id", "'order_id' is already read into 'order_id'"),
    ("- name: orders", "- name: order_s", "is not the asset's name, 'orders'"),
    ("version: 1.0.0", "version: 1.0", "a version is three numbers, such as 1.0.0"),
    ("version: 1.0.0", "version: 100.0.0", "the first number is at most 99"),
    ("window: day", "window: day, start: 01.01.2026", "a day is written 2026-01-31"),
    ("partitions: 4", "partitions: 0", "the number 0 is too small; 1 is the least"),
    ("partitions: 4", "partitions: four", "expected a whole number, found 'four'"),
    ("partitions: 4", "partitions: 4, topic: metric-orders", "'metric-orders' is a name for internal topics"),
    ("minimum: 0,", "minimum: 3,", "minimum is more than maximum"),
    ("maximum: 0.5", "maximum: 10000000000", "maximum 10000000000 is not a value of decimal(12,2)"),
    ("maximum: 0.5", "maximum: 0.005", "maximum 0.005 is not a value of decimal(12,2)"),
    ("logicalType: integer", "logicalType: integer, logicalTypeOptions: {minimum: 0.5}", "is not a value of integer"),
    ("minLength: 1", "minLength: 41", "minLength is more than maxLength"),
    ("dd.MM.yyyy}", "dd.MM}", "must hold a year (yyyy), a month (MM) and a day (dd)"),
    ("dd.MM.yyyy}", "dd.MM.YYYY}", "the calendar year is 'yyyy'"),
    ("dd.MM.yyyy}", "epoch_millis}", "is for timestamps"),
    ("dd.MM.yyyy}", '"dd.MM.yyyy HH:mm"}', "holds a time of day, but the field is a date"),
    ("'^[A-Z]{2}$'", "'^(?=A)B$'", "looks ahead or behind"),
    ("'^[A-Z]{2}$'", "'(a'", "is not a regular expression"),
    ("logicalType: boolean", "logicalType: boolean, primaryKeyPosition: 1", "has no primaryKey: true"),
    ("engine: auto", "engine: duckdb, entrypoint: 'orders:transform'", "an entrypoint runs on Spark"),
    ("property: conform, value: {engine: auto, unknownFields: keep}", "property: compatibility, value: none",
     "'compatibility' is given twice"),
    ('[web, "no"]', "[web, 1]", "expected a text, found the number 1"),
    ('[web, "no"]', "[web, web]", "'web' is given twice"),
    ("metric: nullValues", "metric: rowCount", "belongs to the quality of the table"),
    ("metric: rowCount", "metric: nullValues", "belongs to the quality of a field"),
    ("metric: nullValues", "metric: missingValues", "missingValues is for a string; 'rate' is number"),
    ("{metric: rowCount,", "{metric: duplicateValues,", "duplicateValues of a table needs properties"),
    ("{metric: rowCount,", "{metric: duplicateValues, arguments: {properties: [order_if]},",
     "'order_if' is not a field. Did you mean 'order_id'?"),
    ("mustBeGreaterThan: 0", "mustBeBetween: [5, 1]", "the smaller bound comes first"),
    ("mustBeGreaterThan: 0", "mustBeGreaterThan: 0, mustBe: 1", "found mustBe and mustBeGreaterThan"),
    ("mustBeGreaterThan: 0", "mustBeGreaterThan: 0, query: select", "does not belong to one of this kind"),
    ("from conformed", "from orders", "orders is not known: a check reads 'conformed'"),
    ("name: no_large_order", "name: row_count", "two checks are named 'row_count'"),
    *(("property: conform, value: {engine: auto, unknownFields: keep}", f"property: protection, value: {value}", error)
      for value, error in (
          ("{tokenise: [countri]}", "'countri' is not a field. Did you mean 'country'?"),
          ("{tokenise: [pieces]}", "'pieces' is integer; a token is a text"),
          ("{drop: [ordered_at]}", "'ordered_at' is the event time, which must stay readable"),
          ("{drop: [order_id]}", "'order_id' is part of the key"),
          ("{drop: [country], tokenise: [country]}", "'country' is given twice"),
          ("{drop: [rate]}", "the check 'rate_null_values' cannot see the values of 'rate'"),
          ("{}", "should be non-empty"),
      )),
    ("engine: auto, unknownFields: keep}}", "engine: spark}}\n  - {property: protection, value: {tokenise: [country]}}",
     "only DuckDB makes tokens"),
    ("logicalType: boolean", "logicalType: boolean, unique: true", "'unique' has no effect in this lake"),
    ("logicalType: boolean", "logicalType: boolean, enum: [{value: true}]", "metric: invalidValues"),
    ('"One row per order."', "One row, as it came.", "put the text around it in quotes, because it holds a comma"),
    ("domain: shop\n", "domain: shop\ndomain: crm\n", "'domain' is given twice (first on line 8)"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "sentence"), RULES, ids=[sentence for _, _, sentence in RULES])
def test_a_broken_rule_is_reported_as_one_problem(right: str, wrong: str, sentence: str) -> None:
    (problem,) = problems(changed(right, wrong))
    assert sentence in problem


def test_all_problems_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = changed("status: active", "status: activ").replace("eventTime: ordered_at", "eventTime: orderd_at")
    text = text.replace("name: rate", "name: select").replace("from conformed", "from orders")
    lines = [int(problem.split(":")[1]) for problem in problems(text)]
    assert lines == [7, 13, 23, 31]


def test_one_wrong_field_does_not_hide_or_cause_other_problems() -> None:
    text = changed("{name: ordered_at, logicalType: timestamp", "{name: ordered_at, logicaltype: timestamp")
    (problem,) = problems(text.replace("logicaltype: timestamp, required: true", "logicaltype: timestamp"))
    assert "Did you mean 'logicalType'?" in problem


def test_two_assets_of_one_name_or_one_topic_are_refused() -> None:
    first = parse()
    second = parse_contract(CONTRACT, PurePath("assets/again.yaml"))
    with pytest.raises(ContractError) as caught:
        check_together([first, second])
    assert [problem.path for problem in caught.value.problems] == ["name"]
    assert "is also the name of assets/orders.yaml" in str(caught.value)
    with pytest.raises(ContractError) as caught:
        check_together([first, replace(second, dataset="returns")])
    assert [problem.path for problem in caught.value.problems] == ["topic"]
    assert "is also the topic of assets/orders.yaml" in str(caught.value)
    check_together([first])


@pytest.mark.parametrize(
    ("topic", "domain", "sentence"),
    [("Orders", "shop", None), ("a.b-C", "shop", None), ("a.b", "crm", None), ("shop.orders_2", "shop", None),
     ("shop.x", "crm", "is read by the connector of the domain shop too"),
     ("crm.returns", "crm", None)],
)  # fmt: skip
def test_a_topic_may_have_any_name_that_no_other_domain_reads(topic: str, domain: str, sentence: str | None) -> None:
    first = parse()
    other = replace(first, dataset="returns", topic=topic, domain=domain)
    if sentence is None:
        check_together([first, other])
        return
    with pytest.raises(ContractError, match=sentence):
        check_together([first, other])


def test_two_topics_of_one_raw_table_are_refused() -> None:
    first = parse()
    other = replace(first, dataset="orders_old", topic="shop.returns")
    with pytest.raises(ContractError, match=r"the raw table shop\.returns is also that of"):
        check_together([first, other, replace(first, dataset="returns", topic="Returns")])


def test_contracts_that_cannot_be_used_leave_out_themselves_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "assets"
    folder.mkdir()
    (folder / "a.yaml").write_text(changed("status: active", "status: activ"), "utf-8")
    (folder / "b.yaml").write_bytes(CONTRACT.encode().replace(b"One row", b"One \xff row"))
    (folder / "c.yaml").write_text(CONTRACT, "utf-8")
    (folder / "d.yaml").write_text(CONTRACT, "utf-8")
    monkeypatch.setenv("LAKE_CATALOG", str(tmp_path))
    read = read_files(load_settings())
    places = [(problem.file.name, problem.line, problem.path) for problem in read.problems]
    assert places == [("a.yaml", 7, "status"), ("b.yaml", 9, ""), ("d.yaml", 1, "name")]
    assert [asset.path.name for asset in read.assets.values()] == ["c.yaml"]
