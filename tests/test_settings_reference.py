"""Every `LAKE_*` variable that the code names is in the reference, and the page is the reference."""

import re
from typing import get_args

import pytest

from lake_assets.setting_reference import GROUPS, INTERNAL, settings_page
from lake_assets.settings import PROJECT
from lake_assets.variables import VariableName, read_variable

QUOTED = re.compile(r'"(LAKE_[A-Z_]+[A-Z])"')
READ = re.compile(r"""environ(?:\.get\(|\[|.*\bin\b).*LAKE_|LAKE_\w+["'] (?:not )?in os\.environ""")
# Variables that the lake sets for its own calls of dbt, and a client that imports nothing to start fast.
OF_DBT = {"call.py", "client.py", "plugin.py", "spill_plugin.py"}


def test_every_variable_in_the_code_is_in_the_reference() -> None:
    sources = [path for folder in ("lake_assets", "stream_app", "spark") for path in (PROJECT / folder).rglob("*.py")]
    named = {
        name
        for path in sources
        if path.name not in ("setting_reference.py", "variables.py")
        for name in QUOTED.findall(path.read_text("utf-8"))
    }
    documented = [one.name for variables in GROUPS.values() for one in variables]
    assert len(documented) == len(set(documented))
    assert named == {*documented, *INTERNAL}
    assert set(get_args(VariableName)) == set(documented)


def test_variables_are_read_in_one_place() -> None:
    sources = [path for folder in ("lake_assets", "stream_app", "spark") for path in (PROJECT / folder).rglob("*.py")]
    readers = {path.name for path in sources if READ.search(path.read_text("utf-8"))}
    assert readers <= OF_DBT


@pytest.mark.parametrize(
    ("given", "default", "value"), [(None, None, None), (None, "x", "x"), ("", "x", ""), ("y", "x", "y")]
)
def test_a_variable_has_its_value_or_its_default(
    monkeypatch: pytest.MonkeyPatch, given: str | None, default: str | None, value: str | None
) -> None:
    monkeypatch.delenv("LAKE_EMR_ROLE", raising=False)
    if given is not None:
        monkeypatch.setenv("LAKE_EMR_ROLE", given)
    found = read_variable("LAKE_EMR_ROLE") if default is None else read_variable("LAKE_EMR_ROLE", default)
    assert found == value


def test_page_of_settings_is_the_reference() -> None:
    page = (PROJECT / "docs" / "settings.md").read_text("utf-8")
    assert page == settings_page(), "run python -m lake_assets.setting_reference > docs/settings.md"
