"""The dashboard as a part of the stack: its program, which knows no password but the analyst's."""

import os
import sys
from collections.abc import Mapping

from lake_assets.home import Home
from lake_assets.settings import PROJECT, Settings
from lake_assets.stack.programs import Program
from lake_assets.web_key import keep_key

PART = "dashboard"
PROGRAM = "lake_assets.dashboard"
# In stack.json: the parts that `lake up` leaves out.
WITHOUT = "without"
# The settings with the places of boards and marts.
_VARIABLES = ("LAKE_BUCKET", "LAKE_DBT_PROJECT", "LAKE_POSTGRES_CA", "LAKE_POSTGRES_SSLMODE", "LAKE_TARGET")


def has_dashboard(settings: Settings, addresses: Mapping[str, int | str]) -> bool:
    """Return whether this lake has the part: with marts in Postgres, unless `lake up` left it out."""
    return settings.target == "local" and addresses.get(WITHOUT) != PART


def dashboard_program(settings: Settings, layout: Home) -> Program:
    environment = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    return Program(
        PART,
        (sys.executable, "-m", PROGRAM, str(settings.dashboard_port), str(keep_key(layout.dashboard_key))),
        ("postgres",),
        {**environment, "LAKE_HOME": str(layout.home)},
        directory=PROJECT,
    )
