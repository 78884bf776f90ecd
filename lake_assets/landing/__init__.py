"""Events on their way into raw: topics, Kafka Connect, raw Iceberg tables, changed windows, producing.

Imports `catalog`, `compile`, `settings`; no other adapter.
"""
