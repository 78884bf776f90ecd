"""dagster-dbt without dbt: the only module that imports it.

If dbt can be imported, `import dagster_dbt` loads dbt-core's classes. That costs every Dagster process 2.5 s, though
dbt itself runs in another process (`dbt/client.py`). dagster-dbt supports an environment without dbt-core, so the
import of dbt is blocked meanwhile.
"""

from lake_assets.blocked_imports import blocked_import

with blocked_import("dbt"):
    from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets

__all__ = ["DagsterDbtTranslator", "DagsterDbtTranslatorSettings", "DbtCliResource", "dbt_assets"]
