"""`lake new --evolve`: what payloads hold beyond their contract, and the contract that would declare it."""

from dataclasses import dataclass
from pathlib import Path

from lake_assets.catalog.infer import InferredField
from lake_assets.catalog.model import Asset
from lake_assets.catalog.propose_fields import evolved, new_fields
from lake_assets.ledger.ledger import Ledger, UnknownKey
from lake_assets.operations.adapters import warehouse_for
from lake_assets.settings import Settings

# Types are read off so many rows.
_SAMPLED_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Proposal:
    """`unknown` is what conform saw, most rows first, and `fields` what would be declared of it; `before` and `after`
    are the contract's texts, which are equal when there is nothing to propose."""

    unknown: tuple[UnknownKey, ...]
    fields: tuple[InferredField, ...]
    before: str
    after: str


def propose(settings: Settings, asset: Asset) -> Proposal:
    """Reads the report that conform left in the ledger, and the newest window of each unknown field for its type.

    Raises LakeError, Unavailable.
    """
    text = Path(asset.path).read_text("utf-8")
    with Ledger(settings) as ledger:
        reported = ledger.unknown_fields(asset) if ledger.exists() else []
    # Windows that were made before a field was declared still have it in `_extra`.
    declared = {field.payload_key for field in asset.fields if not field.is_derived}
    unknown = tuple(key for key in reported if key.name not in declared)
    windows = sorted({key.last for key in unknown})
    found = warehouse_for(settings).rows(asset, "staging", windows, ("_extra",)) if windows else None
    extras = [value for value in found.column(0).to_pylist() if value is not None] if found else []
    seen = {key.name for key in unknown}
    fields = tuple(one for one in new_fields(asset, extras[:_SAMPLED_ROWS]) if one.source in seen) if extras else ()
    return Proposal(unknown, fields, text, evolved(text, asset, fields) if fields else text)
