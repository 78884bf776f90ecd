"""dagster-dbt without dbt: the one place that imports it.

With dbt in sight, `import dagster_dbt` loads dbt-core's classes, which costs every Dagster process 2.5 s, though dbt
itself runs in another process (`dbt_client.py`). dagster-dbt supports an environment that has no dbt-core, so dbt is
out of sight while it is imported, and only then.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _out_of_sight(module: str) -> Iterator[None]:
    """Imports of the module fail inside; nothing happens when it is loaded already, because then the cost is paid."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        del sys.modules[module]


with _out_of_sight("dbt"):
    from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets

__all__ = ["DagsterDbtTranslator", "DagsterDbtTranslatorSettings", "DbtCliResource", "dbt_assets"]
