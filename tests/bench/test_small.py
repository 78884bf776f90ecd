"""Each bench runs at a small size, so that it does not rot."""

import importlib
from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import repair
from bench.all import FULL, SMALL, document
from bench.figures import Figures, in_turns, read_figures
from bench.sales import Outcome, OutputsDiffer, require_equal
from lake_assets.settings import PROJECT, Settings
from tests.support.connect_api import remove_connectors
from tests.support.warm_processes import run_lake

# Those that need Dagster, or the marts of the examples, and are measured where tests have them.
ELSEWHERE = {"dbt", "freshness", "failing", "model_change"}
ALONE = {"growth", "publish", "spark"}


@pytest.fixture(scope="module")
def servers(stack: Settings) -> Generator[Settings]:
    yield stack
    remove_connectors(stack, "raw-bench", "raw-bench0", "raw-bench1", "metric-bench")


@pytest.fixture(autouse=True)
def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run `repair` with a warm `lake`: for so few rows the start of a command would be most of the time."""
    monkeypatch.setattr(repair, "start", run_lake)


def figures_of(name: str, path: Path, *more: str) -> list[Figures]:
    importlib.import_module(f"bench.{name}").main([*SMALL[name], "--figures", str(path), *more])
    return list(read_figures(path))


def scripts() -> set[str]:
    """The modules of bench/ that take times, without the one that runs all of them and those that only compute."""
    paths = (PROJECT / "bench").glob("*.py")
    return {path.stem for path in paths if "def main(" in path.read_text("utf-8")} - {"all", "cloud_costs", "scale"}


def test_every_bench_has_a_full_and_a_small_size() -> None:
    assert scripts() == set(FULL) == set(SMALL)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_bench_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"bench.{name}").main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert f"python -m bench.{name}" in shown
    assert "--rounds" in shown


@pytest.mark.parametrize("name", sorted(ALONE))
def test_bench_runs_without_servers(name: str, tmp_path: Path) -> None:
    assert all(figures.rows for figures in figures_of(name, tmp_path / "figures"))


@pytest.mark.parametrize("name", sorted(set(SMALL) - ALONE - ELSEWHERE))
def test_bench_runs_on_a_lake(name: str, servers: Settings, tmp_path: Path) -> None:
    assert all(figures.rows for figures in figures_of(name, tmp_path / "figures", "--running"))


def test_each_round_begins_with_another_way() -> None:
    order: list[str] = []
    ways = {name: lambda name=name: order.append(name) for name in ("a", "b", "c")}
    in_turns(ways, 3)
    assert order == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]


def test_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    figures = Figures("bench.example", "ten rows")
    seconds = figures.add("ours", [1.0, 10.0, 2.0])
    assert figures.add_rival("theirs", [2.0, 5.0, 6.0], seconds).ratio == 2.0
    rates = figures.add("ours", [100.0], "rows/s")
    assert figures.add_rival("theirs", [50.0], rates).ratio == 2.0


def test_document_names_each_rival_that_is_not_slower() -> None:
    figures = Figures("bench.example", "ten rows")
    ours = figures.add("ours", [1.0])
    for name, seconds in (("quick", 0.5), ("equal", 1.04), ("slow", 2.0)):
        figures.add_rival(name, [seconds], ours)
    text = document([figures], datetime(2026, 1, 1, tzinfo=UTC), "a machine")
    losses = text[: text.index("## bench.example")]
    assert "| quick | 0.50 times as fast, slower |" in losses
    assert "| equal | 1.04 times as fast, level |" in losses
    assert "slow |" not in losses.replace("slower |", "")
    assert "not run" not in losses
    assert "Without dbt, spark, which were not run that day." in document(
        [figures], datetime(2026, 1, 1, tzinfo=UTC), "a machine", {"spark", "dbt"}
    )


def test_outputs_that_differ_are_no_comparison() -> None:
    ours = Outcome(good=3, checksum=7, quarantined=1, duplicates=0)
    require_equal({"ours": ours, "by hand": Outcome(3, 7)})
    for other in (Outcome(4, 7), Outcome(2, 7), Outcome(3, 8), Outcome(3, 7, 2), Outcome(3, 7, 1, 1)):
        with pytest.raises(OutputsDiffer):
            require_equal({"ours": ours, "by hand": other})
