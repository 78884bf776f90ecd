"""`lake cost` without servers: from the ledger's sums to the formulas' figures, and what is printed."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from lake_assets.catalog.model import Asset
from lake_assets.cli.cost import command, print_cost
from lake_assets.compile.cost import CostSettings, total
from lake_assets.compile.prices import NOTED
from lake_assets.errors import LakeError, Unavailable
from lake_assets.ledger.month_figures import MonthFigures
from lake_assets.operations.cost import Changes, CostReport, check_month, own_settings, price_month, usages_of
from lake_assets.settings import load_settings
from tests.operations.test_cost_lines import usage
from tests.support.conform_records import ORDERS

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
HOUR, DAY = 3_600, 86_400
MARTS = {"sales_data_mart.sales": ["sales"], "funnel_data_mart.funnel": ["sales", "leads"]}
LAKE = [usage("sales", rows=10**6), usage("leads", rows=100)]
AWS = CostSettings("aws", 300, 60)


def figures(windows: int, days: int, newest: str, asset: str = "orders") -> MonthFigures:
    return MonthFigures(asset, 1_000, windows, days, newest, 0.0, 1, 1, 1)


def windows_of(asset: Asset, read: MonthFigures, now: datetime = DECEMBER) -> tuple[dict[str, float], float]:
    (found,) = usages_of({asset.name: asset}, [read], now)
    return dict(found.windows), found.seconds


def test_windows_of_another_size_are_counted_by_their_days() -> None:
    hourly = replace(ORDERS, window="hour")
    assert windows_of(hourly, figures(30, 3, "2026-11-05-07:00")) == ({"hour": 30, "day": 3, "month": 1}, 30 * HOUR)
    assert windows_of(ORDERS, figures(2, 2, "2026-11-05")) == ({"hour": 48, "day": 2, "month": 1}, 2 * DAY)
    monthly = replace(ORDERS, window="month")
    assert windows_of(monthly, figures(1, 1, "2026-11")) == ({"hour": 720, "day": 30, "month": 1}, 30 * DAY)


def test_open_window_counts_up_to_now() -> None:
    """Two days are published, and of the second one six hours are over."""
    now = datetime(2026, 12, 2, 6, tzinfo=UTC)
    assert windows_of(ORDERS, figures(2, 2, "2026-12-02"), now)[1] == DAY + 6 * HOUR
    assert windows_of(ORDERS, figures(2, 2, "2026-12-03"), now)[1] == 2 * DAY
    hourly = replace(ORDERS, window="hour")
    half_past = now.replace(minute=30)
    counted, seconds = windows_of(hourly, figures(2, 1, "2026-12-02-06:00"), half_past)
    assert (counted["hour"], seconds) == (2, 1.5 * HOUR)


def test_newest_version_of_a_dataset_pays_for_raw() -> None:
    second = replace(ORDERS, version="2.0.0")
    known = {asset.name: asset for asset in (second, ORDERS)}
    read = [figures(1, 1, "2026-11-05", name) for name in known]
    assert {found.asset: found.has_raw for found in usages_of(known, read, DECEMBER)} == {
        "orders": False,
        "orders_v2": True,
    }


def test_asset_pays_its_part_of_marts_that_read_others() -> None:
    alone = [price_month(LAKE, MARTS, {name}, AWS, Changes()) for name in ("sales", "leads")]
    assert sum(total(report.lines) for report in alone) == pytest.approx(
        total(price_month(LAKE, MARTS, {"sales", "leads"}, AWS, Changes()).lines)
    )


def test_changed_settings_are_compared_with_those_of_the_lake() -> None:
    report = price_month(LAKE, MARTS, {"sales"}, AWS, Changes(commit_seconds=900))
    assert report.cost == CostSettings("aws", 900, 60)
    assert report.unchanged == price_month(LAKE, MARTS, {"sales"}, AWS, Changes()).lines
    assert total(report.lines) < total(report.unchanged or ())
    no_pause = price_month(LAKE, MARTS, {"sales"}, AWS, Changes(mart_minutes=0))
    assert no_pause.cost.mart_minutes == 0
    assert total(no_pause.lines) > total(no_pause.unchanged or ())


def test_other_target_has_its_own_default_settings() -> None:
    settings = replace(load_settings(), target="local", commit_seconds=7, mart_minutes=3)
    assert own_settings(settings, "local") == CostSettings("local", 7, 3)
    assert own_settings(settings, "gcp") == CostSettings("gcp", 300, 60)


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "november", "2026-11-01", ""])
def test_month_of_another_form_is_refused(month: str) -> None:
    with pytest.raises(LakeError, match="is not a month: write it as 2026-11"):
        check_month(month)


def printed(capsys: pytest.CaptureFixture[str], report: CostReport, *, alone: bool) -> str:
    print_cost(replace(report, month="2026-11"), alone=alone)
    return capsys.readouterr().out


def test_lake_is_printed_with_an_asset_and_a_mart_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    report = price_month(LAKE, MARTS, {"sales", "leads"}, AWS, Changes())
    lines = printed(capsys, report, alone=False).splitlines()
    assert [line.split()[0] for line in lines[3:5]] == ["sales", "leads"]
    assert f"{total(line for line in report.lines if line.asset == 'sales'):.2f}" == lines[3].split()[-1]
    assert {line.split()[0] for line in lines[7:9]} == set(MARTS)
    assert any(
        line.startswith(f"Total {total(report.lines):.2f} $ on aws, with LAKE_COMMIT_SECONDS=300") for line in lines
    )


def test_asset_is_printed_with_a_line_for_each_service(capsys: pytest.CaptureFixture[str]) -> None:
    report = price_month(LAKE, MARTS, {"sales"}, AWS, Changes(window="hour"))
    text = printed(capsys, report, alone=True)
    assert "sales in 2026-11: 1,000,000 events in windows of a day" in text
    for words in ("conform S3", "publish Glue", "publish Athena", "mart sales_data_mart.sales Athena", "storage S3"):
        assert any(line.split()[: len(words.split())] == words.split() for line in text.splitlines())
    assert "windows of an hour" in text
    assert "With the settings as they are: " in text


def test_sentences_name_what_is_left_out_and_the_date_of_prices(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, price_month(LAKE, MARTS, {"sales"}, AWS, Changes()), alone=True)
    assert "Not counted: Kafka, Postgres, and the machines of Kafka Connect" in text
    assert f"as of {NOTED}" in text
    assert "The largest part is conform: " in text
    assert "dbt project was never parsed" not in text
    report = replace(price_month(LAKE, {}, {"sales"}, AWS, Changes()), marts_are_known=False)
    assert "Marts are not counted, because the dbt project was never parsed" in printed(capsys, report, alone=True)


def test_this_machine_costs_nothing_and_names_the_other_targets(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, price_month(LAKE, MARTS, {"sales"}, CostSettings("local", 1, 0), Changes()), alone=True)
    assert "Total 0.00 $ on local" in text
    assert "0.018 GB stored" in text
    assert "add `--target aws` or `--target gcp`" in text


def test_exceeded_quota_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    report = price_month(LAKE, {}, {"sales"}, CostSettings("gcp", 30, 60), Changes())
    assert "Not possible: BigQuery accepts 1,500 loads a day into a table" in printed(capsys, report, alone=True)


def test_lake_without_a_stack_is_asked_to_start_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_HOME", str(tmp_path_factory.mktemp("lake")))
        result = CliRunner().invoke(command, [])
    assert isinstance(result.exception, Unavailable)
    assert "`lake up`" in str(result.exception)
