"""Script that Streamlit runs for each reader and each change."""

from lake_assets.dashboard.pages import show

show()
