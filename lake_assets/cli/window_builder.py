"""The build of queued windows inside a command, with its progress on stderr."""

from collections.abc import Callable, Mapping, Sequence

from lake_assets.catalog.model import Asset
from lake_assets.cli.tables import print_step
from lake_assets.ledger.ledger import Pending
from lake_assets.orchestration.in_process import make_windows
from lake_assets.settings import Settings


def window_builder(settings: Settings, assets: Mapping[str, Asset]) -> Callable[[Sequence[Pending]], Mapping[str, str]]:
    """Return a function that builds these windows and their marts, and returns the causes of failed steps by step."""
    return lambda pending: make_windows(settings, assets, pending, print_step).failed
