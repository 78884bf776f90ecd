"""Postgres tables of the inputs and outputs of every window: queue, receipts, failures, applied contracts.

One module owns the statements of one concern. Imports `catalog`, `compile`, `settings`; no other adapter.
"""
