"""Raw files of a window to conformed files, by the compiled rules on DuckDB or Spark; `runners` start Spark jobs.

Imports `catalog`, `compile`, `settings`; no other adapter.
"""
