"""Definitions of the lake, loaded when this module is imported: by the fork server of runs, and by nothing else.

A fork copies only the thread that calls it, and any lock that another thread holds stays locked. So this process has
no other thread.
"""

import gc
import importlib
import os

import duckdb

from lake_assets.stack.loaded_definitions import LoadedDefinitions, load_definitions, read_state

# Imported by each run. The last two bring pyarrow, whose import takes longer than a small window.
_FOR_RUNS = (
    "dagster._grpc.impl",
    "lake_assets.stack.dagster_storage",
    "lake_assets.stack.run_launcher",
    "pyiceberg.table",
    "upath.core",
    "lake_assets.landing.iceberg_files",
)
# Without these, importing numpy starts a thread for each core and importing pyarrow one that frees memory.
_WITHOUT_THREADS = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}


def _import_for_runs() -> None:
    before = {name: os.environ.get(name) for name in _WITHOUT_THREADS}
    os.environ.update(_WITHOUT_THREADS)
    for name in _FOR_RUNS:
        importlib.import_module(name)
    # Programs that a run starts are not meant.
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


loaded = LoadedDefinitions(read_state, load_definitions)
_import_for_runs()
loaded.load()
# Importing duckdb opens a database for its module-level functions, which has a thread. Nothing here uses it.
duckdb.default_connection().close()
gc.collect()
gc.freeze()  # the collector of runs need not scan these objects, which stay shared
