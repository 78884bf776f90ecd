"""Settings of lineage: whether events are written, and the server that receives them. They are read at each use."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lake_assets.errors import SettingsError
from lake_assets.variables import read_variable

NAMESPACE = "lake"
_LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Destination:
    """Server that receives events besides the files: its whole `url`, empty for none, and the file of its API key."""

    namespace: str
    url: str = ""
    key_file: Path | None = None


def read_destination() -> Destination | None:
    """Return the destination of events; None if none are written. Raises SettingsError."""
    switch, url = read_variable("LAKE_LINEAGE", "file"), read_variable("LAKE_LINEAGE_URL", "")
    key_file, namespace = read_variable("LAKE_LINEAGE_KEY_FILE", ""), read_variable("LAKE_LINEAGE_NAMESPACE", NAMESPACE)
    if switch not in ("file", "off"):
        raise SettingsError(f"LAKE_LINEAGE is '{switch}': it must be one of file, off.")
    if switch == "off" and url:
        raise SettingsError("LAKE_LINEAGE_URL is set, but LAKE_LINEAGE is 'off': set LAKE_LINEAGE to file.")
    if key_file and not url:
        raise SettingsError(
            "LAKE_LINEAGE_KEY_FILE is set, but LAKE_LINEAGE_URL is not: set it to the server's address."
        )
    if not namespace:
        raise SettingsError("LAKE_LINEAGE_NAMESPACE is empty: set it to a name for this lake's jobs.")
    if switch == "off":
        return None
    if url:
        _check(url, has_key=bool(key_file))
    return Destination(namespace, url, Path(key_file).expanduser() if key_file else None)


def _check(url: str, *, has_key: bool) -> None:
    try:
        address = urlsplit(url)
        is_address = address.scheme in ("http", "https") and bool(address.hostname)
    except ValueError:
        raise SettingsError("LAKE_LINEAGE_URL is no address: set it to one with http or https.") from None
    if address.password is not None or address.username is not None:
        raise SettingsError("LAKE_LINEAGE_URL has a login in it: write the API key into LAKE_LINEAGE_KEY_FILE.")
    if not is_address:
        raise SettingsError(f"LAKE_LINEAGE_URL is '{url}': set it to an address with http or https.")
    if has_key and address.scheme != "https" and address.hostname not in _LOCAL:
        raise SettingsError(f"LAKE_LINEAGE_URL is '{url}', which would show the API key: set it to one with https.")
