"""Definitions of the lake, loaded when this module is imported: by the fork server of runs, and by nothing else.

A fork copies only the thread that calls it, and any lock that another thread holds stays locked. So this process has
no other thread.
"""

import gc
import importlib

import duckdb

from lake_assets.stack.loaded_definitions import LoadedDefinitions, load_definitions, read_state

# Imported by each run, and without a thread; pyarrow has two.
_FOR_RUNS = (
    "dagster._grpc.impl",
    "lake_assets.stack.dagster_storage",
    "lake_assets.stack.run_launcher",
    "pyiceberg.table",
)

loaded = LoadedDefinitions(read_state, load_definitions)
for _name in _FOR_RUNS:
    importlib.import_module(_name)
loaded.load()
# Importing duckdb opens a database for its module-level functions, which has a thread. Nothing here uses it.
duckdb.default_connection().close()
gc.collect()
gc.freeze()  # the collector of runs need not scan these objects, which stay shared
