"""`lake new --evolve`: undeclared fields of payloads, and the contract that would declare them."""

from dataclasses import dataclass
from pathlib import Path

from lake_assets.catalog.infer import InferredField
from lake_assets.catalog.model import Asset
from lake_assets.catalog.propose_fields import evolved, new_fields
from lake_assets.ledger.ledger import Ledger, UnknownKey
from lake_assets.operations.adapters import warehouse_for
from lake_assets.settings import Settings

# Rows from which types are inferred.
_SAMPLED_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Proposal:
    """Fields to declare in a contract.

    `unknown` are the undeclared keys that conform reported, most rows first, and `fields` their declarations. `before`
    and `after` are the contract's texts, which are equal when there is nothing to propose.
    """

    unknown: tuple[UnknownKey, ...]
    fields: tuple[InferredField, ...]
    before: str
    after: str


def propose(settings: Settings, asset: Asset) -> Proposal:
    """Read conform's report from the ledger, and the newest window of each unknown field for its type.

    Raises LakeError, Unavailable.
    """
    text = Path(asset.path).read_text("utf-8")
    with Ledger(settings) as ledger:
        reported = ledger.unknown_fields(asset) if ledger.exists() else []
    # Windows that were built before a field was declared still have it in `_extra`.
    declared = {field.payload_key for field in asset.fields if not field.is_derived}
    unknown = tuple(key for key in reported if key.name not in declared)
    windows = sorted({key.last for key in unknown})
    rows = warehouse_for(settings).rows(asset, "staging", windows, ("_extra",)) if windows else None
    extras = [value for value in rows.column(0).to_pylist() if value is not None] if rows else []
    names = {key.name for key in unknown}
    fields = (
        tuple(field for field in new_fields(asset, extras[:_SAMPLED_ROWS]) if field.source in names) if extras else ()
    )
    return Proposal(unknown, fields, text, evolved(text, asset, fields) if fields else text)
