"""Every `LAKE_*` variable that the code names is in the reference, and the page is the reference."""

import re

from lake_assets.setting_reference import GROUPS, INTERNAL, settings_page
from lake_assets.settings import PROJECT

QUOTED = re.compile(r'"(LAKE_[A-Z_]+[A-Z])"')


def test_every_variable_in_the_code_is_in_the_reference() -> None:
    sources = [path for folder in ("lake_assets", "stream_app", "spark") for path in (PROJECT / folder).rglob("*.py")]
    named = {
        name
        for path in sources
        if path.name != "setting_reference.py"
        for name in QUOTED.findall(path.read_text("utf-8"))
    }
    documented = [one.name for variables in GROUPS.values() for one in variables]
    assert len(documented) == len(set(documented))
    assert named == {*documented, *INTERNAL}


def test_page_of_settings_is_the_reference() -> None:
    page = (PROJECT / "docs" / "settings.md").read_text("utf-8")
    assert page == settings_page(), "run python -m lake_assets.setting_reference > docs/settings.md"
