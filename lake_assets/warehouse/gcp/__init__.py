"""BigQuery, and the cloud function that loads publications."""
