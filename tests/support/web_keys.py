"""Logins to the web pages of a lake, by the keys that only its owner can read."""

from collections.abc import Mapping
from pathlib import Path

from lake_assets.home import Home
from lake_assets.web_key import read_key


def dagster_login(home: Path) -> Mapping[str, str]:
    """Return the headers with which a program asks the web UI of the lake in `home`."""
    return {"Authorization": f"Bearer {read_key(Home(home).dagster_key)}"}


def dashboard_login(home: Path) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {read_key(Home(home).dashboard_key)}"}
