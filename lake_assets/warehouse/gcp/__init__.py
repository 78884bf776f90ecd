"""BigQuery, and the cloud function that loads what was published."""
