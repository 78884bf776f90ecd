"""Dagster and nothing else: assets, checks, sensors, marts, metrics, runs in process.

Imports `operations` and what is below. A use case that needs no Dagster belongs there.
"""
