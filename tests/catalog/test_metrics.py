"""A metric's file: its parts when it is valid, and the wrong word when it is not."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path, PurePath

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.metric_parse import check_metrics_together, parse_metric
from lake_assets.catalog.metric_schema import metric_schema
from lake_assets.catalog.problems import ContractError
from lake_assets.compile.metric_parity import differences, staging_rows
from lake_assets.compile.metric_sink import Database, metric_sinks
from lake_assets.compile.metric_tables import metric_statements
from lake_assets.compile.metric_topics import metric_topics
from lake_assets.project import read_files
from lake_assets.settings import PROJECT, load_settings
from tests.support.metric_examples import METRIC, metric, orders

ASSET = orders()
GOOD = metric(ASSET)
SPECS = metric_topics(GOOD, ASSET)


def problems(text: str) -> str:
    with pytest.raises(ContractError) as error:
        parse_metric(text, PurePath("m.yaml"), {"orders": ASSET})
    return str(error.value)


def test_the_example_metric_of_the_project_is_read() -> None:
    settings = load_settings()
    found = read_files(settings).metrics["sales_by_region"]
    assert (found.window, found.lateness) == (timedelta(minutes=1), timedelta(minutes=2))
    assert [(m.name, m.function, m.scale) for m in found.measures] == [
        ("orders", "count", 0), ("quantity", "sum", 0), ("amount", "sum", 2),
    ]  # fmt: skip


def test_the_schema_for_editors_is_the_one_that_is_checked() -> None:
    committed = json.loads((PROJECT / "lake_assets" / "catalog" / "metric.schema.json").read_text("utf-8"))
    assert committed == metric_schema(), "renew it: python -m lake_assets.catalog.metric_schema"


@pytest.mark.parametrize(
    ("change", "to", "word"),
    [
        ("source: orders", "source: order", "m.yaml:5: source: 'order' is not an asset of this catalog. Did you mean"),
        ("[region,", "[regoin,", "'regoin' is not a field of orders. Did you mean 'region'?"),
        ("[region,", "[note,", "'note' is optional in orders: a metric needs fields with required: true."),
        ("[region,", "[amount,", "'amount' is decimal(12,2); group by a string, an integer or a boolean."),
        ("window: 1m", "window: 7m", "'7m' does not divide a day"),
        ("window: 1m", "window: 0m", "'0m' does not divide a day"),
        ("window: 1m", "windw: 1m", "unknown key 'windw'. Did you mean 'window'?"),
        ("window: 1m", "window: 60", "expected a text, found the number 60"),
        ("field: quantity", "field: region", "'region' is string; only an integer or a decimal is exact."),
        ("field: quantity", "field: weight", "'weight' is optional"),
        ("function: sum, field: quantity", "function: sum", "'field' is missing"),
        ("function: count", "function: count, field: quantity", "field: does not belong to one of this kind"),
        ("function: count", "function: average", "'average' is not known here"),
        ("name: largest", "name: region", "'region' is already a column of the metric"),
        ("name: largest", "name: revision", "'revision' is already a column of the metric"),
        ("name: largest", "name: select", "'select' is a reserved word of SQL"),
        ("name: orders_by_region", "name: Orders", "'Orders' is not a name"),
        ("owners: [test@example.com]", "owners: [somebody]", "an owner is an e-mail address"),
        ("lateness: 2m", "lateness: 2m\nfilter: [{field: region, in: [5]}]", "'5' is not of the field's type, string."),
        ("lateness: 2m", "lateness: 2m\nfilter: [{field: amount, in: [5]}]", "filter a string, integer or boolean."),
        (
            "lateness: 2m",
            "lateness: 2m\nretention: 2d",
            "'2d' is too short: keep windows for two days and the lateness",
        ),
        ("lateness: 2m", "lateness: 2m\nretention: 1y", "a length is a number and s, m, h or d, such as 400d"),
        ("lateness: 2m", "lateness: 2m\ntransform: nothing", "a transform is module:function"),
    ],
)
def test_what_is_wrong_is_named(change: str, to: str, word: str) -> None:
    assert change in METRIC
    assert word in problems(METRIC.replace(change, to))


def test_all_problems_are_reported_at_once() -> None:
    text = METRIC.replace("[region,", "[regoin,").replace("window: 1m", "window: 7m").replace("source:", "sorce:")
    assert problems(text).count("m.yaml:") >= 2


def test_two_metrics_of_one_name_are_refused() -> None:
    with pytest.raises(ContractError, match="is also the view of"):
        check_metrics_together([GOOD, replace(GOOD, path=PurePath("other.yaml"))])


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200) | st.builds(lambda at, junk: METRIC[:at] + junk + METRIC[at:], st.integers(0, 500), st.text(max_size=5)))  # fmt: skip  # noqa: E501
def test_no_text_makes_the_reader_fail_in_another_way(text: str) -> None:
    try:
        found = parse_metric(text, PurePath("m.yaml"), {"orders": ASSET})
    except ContractError:
        return
    assert isinstance(found, Metric)


def test_a_second_major_version_shares_nothing_with_the_first() -> None:
    second = replace(GOOD, version="2.0.0")
    for name in ("table", "topic", "changelog", "late", "undecodable"):
        assert getattr(GOOD, name) != getattr(second, name)


def test_what_the_state_depends_on_changes_the_definition_and_words_do_not() -> None:
    definitions = {GOOD.definition()}
    for change in ({"window": timedelta(hours=1)}, {"lateness": timedelta(0)}, {"groups": GOOD.groups[:1]},
                   {"measures": GOOD.measures[:2]}, {"transform": "a:b"}):  # fmt: skip
        changed = replace(GOOD, **change)
        assert changed.definition() not in definitions
        definitions.add(changed.definition())
    assert replace(GOOD, description="other", owners=("a@b.c",), version="1.1.0").definition() == GOOD.definition()


def test_every_topic_of_a_metric_has_the_partitions_of_its_source() -> None:
    assert {spec.partitions for spec in SPECS} == {ASSET.partitions}
    assert [spec.name for spec in SPECS] == [GOOD.topic, GOOD.changelog, GOOD.late, GOOD.undecodable]


def test_topics_of_a_metric_keep_a_month_or_open_windows() -> None:
    policies = {spec.name: (spec.config["cleanup.policy"], spec.config.get("retention.ms")) for spec in SPECS}
    month = str(30 * 86_400_000)
    assert policies == {
        GOOD.topic: ("compact,delete", month),
        GOOD.changelog: ("compact", None),
        GOOD.late: ("delete", month),
        GOOD.undecodable: ("delete", month),
    }


def test_a_sink_holds_no_secret() -> None:
    rows, late = metric_sinks(GOOD, Database("jdbc:postgresql://h/d", "connect", "${file:/f:password}"))
    assert rows.config["connection.password"] == late.config["connection.password"] == "${file:/f:password}"
    with pytest.raises(ValueError, match="config provider"):
        metric_sinks(GOOD, Database("jdbc:postgresql://h/d", "connect", "secret"))


def test_texts_of_a_metric_cannot_leave_their_quotes() -> None:
    text = METRIC.replace("Orders of each region and minute.", 'It\'s "quoted"; drop table x')
    text += 'filter: [{field: region, in: ["o\'clock"]}]\n'
    found = metric(ASSET, text)
    statements = "\n".join(metric_statements(found))
    assert "'It''s \"quoted\"; drop table x'" in statements
    query = differences(
        found, staging_rows(found, ASSET, "staged", "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00")
    )
    assert "'o''clock'" in query


@pytest.mark.parametrize(
    ("at", "window"), [("1969-12-31 23:59:30", -60), ("1970-01-01 00:00:00", 0), ("1970-01-01 00:01:59", 60)]
)
def test_batch_side_cuts_events_of_before_1970_into_the_metric_s_windows(at: str, window: int) -> None:
    staged = (
        "(select 'a' as order_id, 'north' as region, 1 as shop, true as paid, 1 as quantity, 1.0 as amount, "
        f"timestamptz '{at}+00' as ordered_at, 0 as _kafka_partition, 0 as _offset)"
    )
    rows = staging_rows(GOOD, ASSET, staged, "1960-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00")
    assert duckdb.execute(f"select epoch(_window_start) from ({rows})").fetchall() == [(window,)]


def test_committed_metrics_name_their_schema_for_editors() -> None:
    for path in Path(PROJECT / "lake_assets" / "catalog" / "metrics").glob("*.yaml"):
        assert path.read_text("utf-8").startswith("# yaml-language-server: $schema=../metric.schema.json\n")
