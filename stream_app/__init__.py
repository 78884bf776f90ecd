"""Streaming metrics: an exactly-once loop from an asset's topic to rows for the database."""
