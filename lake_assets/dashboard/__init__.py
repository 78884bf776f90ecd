"""The embedded dashboard: one page for each board, read from Postgres as role `analyst`, shown by Streamlit.

`python -m lake_assets.dashboard PORT` is the part `dashboard` of `lake up`. Imports operations and below.
"""
