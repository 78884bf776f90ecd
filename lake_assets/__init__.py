"""A contract-first data lake: Kafka to bucket to warehouse to data marts."""
