"""Use cases without Dagster: apply, refresh, audit, backfill, replay, erasure, retention, housekeeping, removal.

Imports adapters, `dbt` and what is below; never Dagster, directly or not.
"""
