"""The interface to dbt: environment, manifest, resident server, its client, the DuckDB plugin.

Imports adapters and what is below them.
"""
