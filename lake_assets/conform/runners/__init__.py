"""Services that can run a Spark job, one module each."""
