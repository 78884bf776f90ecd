"""Postgres tables of what every window was made of: queue, receipts, failures, applied contracts.

One module owns the statements of one concern. Imports `catalog`, `compile`, `settings`; no other adapter.
"""
