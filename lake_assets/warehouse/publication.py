"""What was published last of each window, as a small object in the bucket, so that a notification of it says enough.

There is one object for each window, `publications/<asset>/<window>.json`, and a publication replaces it: a
notification that comes late, or twice, leads to the newest files all the same.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from lake_assets.bucket import read, write
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.catalog.windows import window_path
from lake_assets.settings import Settings

_PLACE = re.compile(r"publications/[a-z][a-z0-9_]*/[\d-]+\.json")


@dataclass(frozen=True, slots=True)
class Publication:
    """The files of one window, which passed its checks."""

    asset: str
    window: str
    good_files: tuple[str, ...]
    quarantine_files: tuple[str, ...]


def announce(settings: Settings, asset: Asset, outputs: Sequence[WindowOutput]) -> None:
    """Writes down what is about to be published. Raises OSError."""
    for output in outputs:
        told = Publication(asset.name, output.window, output.good_files, output.quarantine_files)
        place = f"publications/{asset.name}/{window_path(output.window)}.json"
        write(f"{settings.bucket}/{place}", json.dumps(asdict(told)).encode())


def is_publication(place: str) -> bool:
    """Whether a path below the bucket's URL is that of a publication."""
    return _PLACE.fullmatch(place) is not None


def announced(settings: Settings, place: str) -> Publication | None:
    """The newest publication of a window, None when there is none. Raises OSError."""
    content = read(f"{settings.bucket}/{place}")
    if content is None:
        return None
    told = json.loads(content)
    files = {name: tuple(told[name]) for name in ("good_files", "quarantine_files")}
    return Publication(str(told["asset"]), str(told["window"]), **files)
