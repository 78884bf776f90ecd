"""The embedded stack: Postgres, Kafka, Kafka Connect and Dagster under one supervisor. Start with `lifecycle`."""
