"""The key of tokens: its file, and DuckDB sessions that make tokens with it.

A token is an HMAC: without the key, a token's value can be neither read nor guessed. Equal values have equal tokens in
every asset, so that they can be joined.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lake_assets.catalog.model import Asset
from lake_assets.compile.conform import INNER_PAD, OUTER_PAD
from lake_assets.errors import SettingsError
from lake_assets.local_files import sync
from lake_assets.settings import lake_home
from lake_assets.variables import VariableName, read_variable

if TYPE_CHECKING:
    import duckdb

VARIABLE: VariableName = "LAKE_TOKEN_KEY"
NAME = "token_key"
# The block of SHA-256 in bytes; a key as long as its digest is as good as any longer one.
_BLOCK, _KEY = 64, 32


def token_key() -> bytes:
    """Return the key of 32 bytes. Raises SettingsError when there is none, or when others may read it."""
    path = _path()
    if not path.exists():
        raise SettingsError(
            f"the key of tokens is not at {path}: restore it from your back-up, because a new one makes other tokens."
        )
    if path.stat().st_mode & 0o077:
        raise SettingsError(f"the key of tokens at {path} can be read by others: run `chmod 600 {path}`.")
    text = path.read_text("utf-8").strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _KEY:
        raise SettingsError(
            f"the key of tokens at {path} is not valid: write 64 hexadecimal digits (`openssl rand -hex 32`)."
        )
    return key


def ensure_token_key(assets: Iterable[Asset], applied: Iterable[Asset]) -> None:
    """Create the key when the first contract needs tokens; afterwards it must exist. Raises SettingsError.

    A container creates none: its home is deleted with it, and the key would be lost.
    """
    if not any(asset.has_tokens for asset in assets):
        return
    path = _path()
    if not path.exists() and read_variable(VARIABLE) is None and not any(asset.has_tokens for asset in applied):
        if (folder := read_variable("LAKE_SECRETS")) is not None:
            raise SettingsError(
                f"{folder} has no token_key, which the contracts' tokens need: create it with the "
                "image's command `passwords`, and give it to this container."
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        make_token_key(path)
    token_key()


def make_token_key(path: Path) -> None:
    """Write a new key that only its owner may read. Raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(f"{secrets.token_hex(_KEY)}\n")
    # Tokens of a key that is lost in a power cut cannot be created again.
    sync(path)
    sync(path.parent)


def let_tokenise(session: "duckdb.DuckDBPyConnection", asset: Asset) -> None:
    """Give a session the key when the asset has fields to tokenise. Raises SettingsError."""
    if not asset.has_tokens:
        return
    key = token_key().ljust(_BLOCK, b"\0")
    for name, pad in ((INNER_PAD, 0x36), (OUTER_PAD, 0x5C)):
        session.execute(f"set variable {name} = $1", [bytes(byte ^ pad for byte in key)])


def token(value: str) -> str:
    """Return the token of a value, as staging has it. Raises SettingsError when there is no key."""
    return hmac.new(token_key(), value.encode(), hashlib.sha256).hexdigest()


def sealed(text: str, salt: str | None) -> str:
    """Return a hash that recognises a text without revealing it: with this salt, or without one with the key of tokens.

    It is not the token of the text. Raises SettingsError.
    """
    key = token_key() if salt is None else bytes.fromhex(salt)
    return hmac.new(key, f"sealed\0{text}".encode(), hashlib.sha256).hexdigest()


def new_salt() -> str | None:
    """Return a random salt; None when the lake has a key of tokens."""
    return None if _path().exists() else secrets.token_hex(_KEY)


def _path() -> Path:
    return Path(read_variable(VARIABLE, str(lake_home() / "secrets" / NAME))).expanduser()
