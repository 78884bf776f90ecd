"""Context of one refresh, passed to each of its steps, and the result of conforming windows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lake_assets.catalog.failure import Cause
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput, WindowOutput
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger
from lake_assets.settings import Settings
from lake_assets.spill import spill_root
from lake_assets.warehouse.protocol import Warehouse


@dataclass(frozen=True, slots=True)
class ConformResult:
    """Outputs of an engine, causes of `failed` windows, and `details` that the engine reports about its run."""

    outputs: tuple[WindowOutput, ...]
    failed: Mapping[str, Cause]
    details: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RefreshContext:
    """Inputs of a refresh of one asset. `on_spark` conforms windows on Spark.

    Spark is used when the contract or the size of the windows requires it.
    """

    settings: Settings
    ledger: Ledger
    warehouse: Warehouse
    asset: Asset
    run_id: str
    log: Callable[[str], None]
    on_spark: Callable[[Sequence[WindowInput]], ConformResult]

    @property
    def scratch(self) -> Path:
        """The folder that spill folders are made in."""
        return spill_root(self.settings.home)


def cause_of(error: Exception) -> Cause:
    """Return the error's first line as a cause, with its type unless it is one of ours."""
    line = next(iter(str(error).strip().splitlines()), "")
    return Cause(line if isinstance(error, LakeError) else f"{type(error).__name__}: {line}")
