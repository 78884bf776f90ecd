"""The applied catalog: contracts and metrics stored by `lake apply`, which all runs use."""

from dataclasses import replace
from pathlib import PurePath

from lake_assets.catalog.texts import NOTHING, Catalog, read_texts
from lake_assets.ledger.ledger import Ledger
from lake_assets.parsed import parsed_contracts
from lake_assets.settings import Settings


def applied_catalog(settings: Settings) -> Catalog:
    """Return the applied catalog; an empty one on a lake without any. Raises Unavailable."""
    with Ledger(settings) as ledger:
        return read_applied(ledger)


def applied_alone(ledger: Ledger, name: str) -> Catalog:
    """Return only the applied asset of exactly this name, with its metrics; an empty catalog if there is none.

    The cost does not depend on the number of assets.
    """
    contracts = ledger.contracts(name) if ledger.exists() else {}
    if not contracts:
        return NOTHING
    catalog = read_texts(
        {PurePath(f"applied/{name}.yaml"): contracts[name]},
        {PurePath(f"applied/metrics/{metric}.yaml"): text for metric, text in sorted(ledger.metrics().items())},
    )
    # Metrics of other assets cannot be computed here, which is no problem of theirs.
    return replace(catalog, problems=(), left_out={})


def applied_digest(ledger: Ledger) -> str:
    """Return a digest of the applied texts, computed by Postgres; the same for the same texts."""
    if not ledger.exists():
        return ""
    row = ledger.connection.execute(
        "select md5(string_agg(md5(kind || ' ' || name || ' ' || text), '' order by kind, name)) from ("
        "select 'contract' as kind, asset as name, text from ledger.contract "
        "union all select 'metric', metric, text from ledger.metric) as applied"
    ).fetchone()
    return str(row[0]) if row else ""


def read_applied(ledger: Ledger) -> Catalog:
    """Return the applied catalog, read in two statements. Texts that are no longer valid are left out."""
    if not ledger.exists():
        return NOTHING
    contracts, metrics = ledger.contracts(), ledger.metrics()
    with parsed_contracts(ledger.home, are_all=True) as parse:
        return read_texts(
            {PurePath(f"applied/{name}.yaml"): contracts[name] for name in sorted(contracts)},
            {PurePath(f"applied/metrics/{name}.yaml"): metrics[name] for name in sorted(metrics)},
            parse=parse,
        )
