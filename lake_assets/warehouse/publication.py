"""The last publication of each window, as a small object in the bucket, so that a notification of it is sufficient.

There is one object for each window, `publications/<asset>/<window>.json`, and a publication replaces it. So a late or
repeated notification still leads to the newest files.
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

_PATH = re.compile(r"publications/[a-z][a-z0-9_]*/[\d-]+\.json")


@dataclass(frozen=True, slots=True)
class Publication:
    """The files of one window, which passed its checks."""

    asset: str
    window: str
    good_files: tuple[str, ...]
    quarantine_files: tuple[str, ...]


def announce(settings: Settings, asset: Asset, outputs: Sequence[WindowOutput]) -> None:
    """Write the publications that are about to happen. Raises OSError."""
    for output in outputs:
        publication = Publication(asset.name, output.window, output.good_files, output.quarantine_files)
        path = f"publications/{asset.name}/{window_path(output.window)}.json"
        write(f"{settings.bucket}/{path}", json.dumps(asdict(publication)).encode())


def is_publication(path: str) -> bool:
    """Return True if a path below the bucket's URL is that of a publication."""
    return _PATH.fullmatch(path) is not None


def announced(settings: Settings, path: str) -> Publication | None:
    """Return the newest publication of a window, None if there is none. Raises OSError."""
    content = read(f"{settings.bucket}/{path}")
    if content is None:
        return None
    values = json.loads(content)
    files = {name: tuple(values[name]) for name in ("good_files", "quarantine_files")}
    return Publication(str(values["asset"]), str(values["window"]), **files)
