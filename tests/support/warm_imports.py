"""Imports of the server of `tests.support.warm_processes`: the lake, and what its commands import when they run."""

import gc
import importlib
import pkgutil
import sys

import psutil

import lake_assets

# They do things when they are imported, or import what only dbt needs.
NOT_IMPORTED = ("lake_assets.definitions", "lake_assets.dbt.plugin", "lake_assets.cli.reference")

# By commands, when they need them.
LATE = (
    "boto3",
    "dagster._core.execution.execute_in_process",
    "dagster._core.instance.factory",
    "dagster._core.storage.root",
    "dagster_postgres",
    "fsspec.implementations.arrow",
    "google.cloud.bigquery",
    "jsonschema",
    "psycopg2",
    "pyiceberg.catalog.glue",
    "pyiceberg.catalog.sql",
    "upath.implementations.local",
)

# DuckDB looks when it is imported: a main module without a file is an interactive one, to which it shows its progress.
sys.modules["__main__"].__file__ = __file__
for name in LATE:
    importlib.import_module(name)
for module in pkgutil.walk_packages(lake_assets.__path__, "lake_assets."):
    # A command imports nothing of the dashboard, whose script shows a page when it is imported.
    if module.name not in NOT_IMPORTED and not module.name.startswith("lake_assets.dashboard."):
        importlib.import_module(module.name)
# Importing duckdb opens a database for its module-level functions, which has a thread. Nothing here uses it.
importlib.import_module("duckdb").default_connection().close()
if (threads := psutil.Process().num_threads()) > 1:
    raise RuntimeError(f"the server has {threads} threads, which would not survive a fork")
gc.collect()
gc.freeze()  # a child need not look through all this
