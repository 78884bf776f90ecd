"""The Dagster code location: every applied contract and every mart in one lineage graph."""

import dagster as dg

from lake_assets.ledger.applied import applied_catalog
from lake_assets.orchestration.definitions import build_definitions
from lake_assets.project import read_files
from lake_assets.settings import load_settings

_settings = load_settings()
# Without a database there is no applied catalog, and no run: the files preview the definitions.
_catalog = applied_catalog(_settings) if _settings.postgres.port else read_files(_settings)
defs: dg.Definitions = build_definitions(_settings, _catalog)
