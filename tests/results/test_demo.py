"""Output that `make demo` must have shown."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lake_assets.settings import PROJECT
from tests.results.demo import lacking, log_tails


@pytest.fixture
def shown(tmp_path: Path) -> str:
    """Return the output that the README promises of a demo, with a file of passwords."""
    passwords = tmp_path / "pgpass_analyst"
    passwords.write_text("127.0.0.1:29427:lake:analyst:secret\n", "utf-8")
    page = (PROJECT / "README.md").read_text("utf-8")
    (output,) = re.findall(r"ends like this:\n\n```\n(.*?)```", page, re.DOTALL)
    assert ".lake/secrets/pgpass_analyst" in output
    return output.replace(".lake/secrets/pgpass_analyst", str(passwords))


def test_what_the_readme_shows_is_all_there(shown: str) -> None:
    assert lacking(shown) == []
    assert lacking("\n".join(f"{line:90}" for line in shown.splitlines())) == []


def test_nothing_of_it_is_missed_where_nothing_is_shown() -> None:
    assert len(lacking("")) == 10


BROKEN: dict[str, Callable[[str], str]] = {
    "the table 'funnel_data_mart.funnel, by origin'": lambda output: re.sub(
        r"(?m)^ (web|referral|partner|event|phone|unknown) .*\n", "", output
    ),
    "an audit of leads that is in balance": lambda output: output.replace("46   in balance", "46   OUT OF BALANCE"),
    "an audit of contracts that is in balance": lambda output: re.sub(r"(?m)^ contracts    2,000.*\n", "", output),
    "a metric that equals staging": lambda output: output.replace("48,482 final numbers", "0 final numbers"),
    "an event in the metric within 10 s": lambda output: output.replace("0.13 s", "13.1 s"),
    "an event in the mart within 60 s": lambda output: output.replace("12.1 s", "121.0 s"),
    "a file with the analyst's password": lambda output: output.replace("pgpass", "nothing"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_missing_or_too_slow_is_named(shown: str, what: str) -> None:
    broken = BROKEN[what](shown)
    assert broken != shown
    assert lacking(broken) == [what]


def test_the_last_lines_of_each_log_are_shown(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "kafka.log").write_text("".join(f"line {number}\n" for number in range(100)), "utf-8")
    lines = log_tails(tmp_path).splitlines()
    assert (lines[0], lines[1], lines[-1]) == ("--- kafka.log", "line 60", "line 99")
