"""HTTP adapter of Metabase's REST API: one sentence for each way in which it does not answer as it should."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from lake_assets.errors import LakeError, SettingsError, Unavailable
from lake_assets.kafka_security import read_password
from lake_assets.variables import read_variable

if TYPE_CHECKING:
    import requests

# The first version whose form of queries is the one that is sent, and that the vendor's own command line supports.
OLDEST = 58
KEY_FILE = "metabase_key"
_SECONDS = 30.0
_LOCAL = ("127.0.0.1", "localhost", "::1")
_CONTAINER = re.compile("[a-z0-9_-]+")
# v0.64.1 is the open edition, v1.64.1 the paid one.
_VERSION = re.compile(r"v?[01]\.(\d+)")
_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Address:
    """Metabase's address without a slash at its end, and the file of its API key."""

    url: str
    key_file: Path


def read_address(url: str, secrets: Path) -> Address:
    """Return the address with the key's file, which is in the folder of secrets. Raises SettingsError."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query
    except ValueError:
        raise SettingsError("the address of Metabase is none: write it as https://metabase.example.com.") from None
    if parts.username is not None or parts.password is not None:
        raise SettingsError("the address of Metabase has a login in it: write an API key into LAKE_METABASE_KEY_FILE.")
    if not is_address:
        raise SettingsError(f"'{url}' is no address of Metabase: write it as https://metabase.example.com.")
    # A name without a dot is that of a container beside this one.
    if parts.scheme != "https" and parts.hostname not in _LOCAL and not _CONTAINER.fullmatch(parts.hostname or ""):
        raise SettingsError(f"{url} would show the API key to the network: use the address with https.")
    own = read_variable("LAKE_METABASE_KEY_FILE", "")
    return Address(url.rstrip("/"), Path(own).expanduser() if own else secrets / KEY_FILE)


class Metabase:
    """A session with a Metabase, as the group of its API key. A context manager, which checks version and key."""

    def __init__(self, address: Address) -> None:
        import requests

        key = read_password(address.key_file, "LAKE_METABASE_KEY_FILE")
        if not key.isascii() or not key.isprintable():
            raise SettingsError(f"{address.key_file} has characters that no API key has: write the key into it.")
        self._url = address.url
        self._key_file = address.key_file
        self._session = requests.Session()
        # As an authentication of its own: a header would be joined by a login of the user's .netrc.
        self._session.auth = _ApiKey(key)

    def __enter__(self) -> Self:
        try:
            self._check_version()
            if not self.get("/api/user/current").get("is_superuser"):
                raise SettingsError(
                    f"the API key in {self._key_file} is not of Metabase's group Administrators: create one that is."
                )
        except BaseException:
            self._session.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    @property
    def url(self) -> str:
        return self._url

    def get(self, path: str, **query: str | int) -> Any:
        """Return the answer to GET. Raises LakeError."""
        return self._answer(self._send("GET", path, None, query), "GET", path)

    def find(self, path: str) -> Any | None:
        """Return the answer to GET; None if Metabase has no such object. Raises LakeError."""
        reply = self._send("GET", path, None, {})
        return None if reply.status_code == 404 else self._answer(reply, "GET", path)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the answer to POST. Raises LakeError."""
        return self._answer(self._send("POST", path, body, {}), "POST", path)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the answer to PUT. Raises LakeError."""
        return self._answer(self._send("PUT", path, body, {}), "PUT", path)

    def _check_version(self) -> None:
        reply = self._send("GET", "/api/session/properties", None, {})
        tag = _version_tag(_json(reply)) if reply.ok and not reply.is_redirect else None
        if tag is None:
            # The address of a redirect could be anybody's, who would get the API key.
            raise SettingsError(
                f"{self._url} is no Metabase (HTTP {reply.status_code}): write the address at which people open it."
            )
        match = _VERSION.match(tag)
        # A build of the vendor's own has no number, and is newer than any release.
        if match and int(match[1]) < OLDEST:
            raise SettingsError(f"Metabase at {self._url} is {tag}: `lake bi apply` needs v0.{OLDEST} or newer.")

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, query: Mapping[str, str | int]
    ) -> "requests.Response":
        import requests

        try:
            return self._session.request(
                method, self._url + path, json=body, params=dict(query), timeout=_SECONDS, allow_redirects=False
            )
        except requests.RequestException as error:
            raise Unavailable(
                f"Metabase at {self._url} does not answer ({type(error).__name__}): check the address, and start it."
            ) from None

    def _answer(self, reply: "requests.Response", method: str, path: str) -> Any:
        if reply.status_code == 401:
            raise SettingsError(f"Metabase at {self._url} refuses the API key in {self._key_file}: create another one.")
        if reply.status_code == 409:
            raise LakeError(
                f"Metabase's permissions were changed by another session meanwhile ({path}): run `lake bi apply` again."
            )
        if not reply.ok or reply.is_redirect:
            raise LakeError(
                f"Metabase at {self._url} refuses {method} {path} (HTTP {reply.status_code}): {_reason(reply)}"
            )
        return _json(reply)


@dataclass(frozen=True, slots=True)
class _ApiKey:
    """An API key as requests takes an authentication."""

    key: str

    def __call__(self, request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        request.headers["X-API-Key"] = self.key
        return request


def _version_tag(properties: Any) -> str | None:
    try:
        return str(properties["version"]["tag"])
    except (KeyError, TypeError):
        return None


def _json(reply: "requests.Response") -> Any:
    try:
        return reply.json() if reply.content else None
    except ValueError:
        return None


def _reason(reply: "requests.Response") -> str:
    text = " ".join(reply.text.split()) or "without a reason"
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
