"""Keys of the lake's web pages: each in a file that only its owner can read."""

from pathlib import Path
from secrets import token_urlsafe
from urllib.parse import urlencode

from lake_assets.local_files import write_atomically

# The name of the key in an address.
PARAMETER = "key"


def keep_key(path: Path) -> Path:
    """Make the file of a key, which only its owner may read, if there is none; return it. Raises OSError."""
    if not path.exists():
        write_atomically(path, f"{token_urlsafe(24)}\n", private=True)
    return path


def read_key(path: Path) -> str:
    """Return the key in a file. Raises OSError, and ValueError for an empty file."""
    key = path.read_text("utf-8").strip()
    if not key:
        raise ValueError(f"{path} has no key: remove it, and `lake up` makes another one.")
    return key


def with_key(address: str, key: str) -> str:
    """Return the address that logs a browser in."""
    return f"{address}/?{urlencode({PARAMETER: key})}"
