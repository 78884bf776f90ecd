"""Landing of events in raw: topics, Kafka Connect, raw Iceberg tables, changed windows, producing.

Imports `catalog`, `compile`, `settings`; no other adapter.
"""
