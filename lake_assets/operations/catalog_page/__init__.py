"""The catalog page: contracts, ledger and dbt manifest as one static page, and the same facts as JSON."""
