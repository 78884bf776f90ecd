"""The embedded warehouse: DuckLake for staging and quarantine, Postgres for marts."""
