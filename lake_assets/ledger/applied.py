"""The applied catalog: contracts and metrics as `lake apply` keeps them, by which everything that runs judges."""

from pathlib import PurePath

from lake_assets.catalog.texts import NOTHING, Catalog, read_texts
from lake_assets.ledger.ledger import Ledger
from lake_assets.parsed import parsed_contracts
from lake_assets.settings import Settings


def applied_catalog(settings: Settings) -> Catalog:
    """Return what is applied; nothing, on a lake where nothing ever was. Raises Unavailable."""
    with Ledger(settings) as ledger:
        return read_applied(ledger)


def read_applied(ledger: Ledger) -> Catalog:
    """Return what is applied, in two statements. A text that cannot be used any more is left out."""
    if not ledger.exists():
        return NOTHING
    contracts, metrics = ledger.contracts(), ledger.metrics()
    with parsed_contracts(ledger.home) as parse:
        return read_texts(
            {PurePath(f"applied/{name}.yaml"): contracts[name] for name in sorted(contracts)},
            {PurePath(f"applied/metrics/{name}.yaml"): metrics[name] for name in sorted(metrics)},
            parse=parse,
        )
