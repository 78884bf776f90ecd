"""placeholder until the fetcher is here"""

import os
from pathlib import Path

from lake_assets.settings import PROJECT


def complete_jars() -> Path:
    return Path(os.environ.get("LAKE_JARS", PROJECT / ".jars")).expanduser().resolve()
