"""dagster-dbt without dbt: the one place that imports it.

With dbt in sight, `import dagster_dbt` loads dbt-core's classes, which costs every Dagster process 2.5 s, though dbt
itself runs in another process (`dbt_client.py`). dagster-dbt supports an environment that has no dbt-core, so dbt is
out of sight while it is imported, and only then.
"""

from lake_assets.blocked_imports import out_of_sight

with out_of_sight("dbt"):
    from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets

__all__ = ["DagsterDbtTranslator", "DagsterDbtTranslatorSettings", "DbtCliResource", "dbt_assets"]
