"""The Dagster code location: every contract and every mart in one lineage graph."""

import dagster as dg

from lake_assets.orchestration.build import build_definitions
from lake_assets.settings import load_settings

defs: dg.Definitions = build_definitions(load_settings())
