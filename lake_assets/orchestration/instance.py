"""The lake's Dagster instance, for commands that work without Dagster's processes."""

import os

import dagster as dg

from lake_assets.settings import Settings


def open_instance(settings: Settings) -> dg.DagsterInstance:
    """Return the instance that the environment names, else that of the lake's folder."""
    if "DAGSTER_HOME" in os.environ:
        return dg.DagsterInstance.get()
    return dg.DagsterInstance.from_config(str(settings.home / "dagster"))
