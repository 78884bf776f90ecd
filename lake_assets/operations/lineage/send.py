"""Events of the files to a server that takes OpenLineage by HTTP. What it does not take is tried again, in order."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lake_assets.errors import LakeError, SettingsError, Unavailable
from lake_assets.kafka_security import read_password
from lake_assets.local_files import write_atomically
from lake_assets.operations.lineage.destination import Destination
from lake_assets.operations.lineage.files import Position, count_lines, newest, read_from

if TYPE_CHECKING:
    import requests

# Of one request, and of all of one tick: Dagster ends a tick after 60 s.
REQUEST_SECONDS = 5.0
BUDGET_SECONDS = 10.0
_STATE = "sent.json"
# The server will never take such an event; any other answer is about the server, not about the event.
_REFUSED = (400, 413, 422)


@dataclass(frozen=True, slots=True)
class Sent:
    """Progress of the events to one server.

    `failures` is the number of ticks that failed in a row, for the reason `error`, and `failed` that of all. The server
    `refused` some events as they are; `lost` ones were deleted with their file before it answered.
    """

    url: str
    file: int = 0
    byte: int = 0
    events: int = 0
    refused: int = 0
    lost: int = 0
    failed: int = 0
    failures: int = 0
    error: str = ""

    @property
    def position(self) -> Position:
        return Position(self.file, self.byte)


def read_sent(folder: Path, url: str) -> Sent:
    """Return the progress; another server gets all events that are in the files."""
    try:
        content = cast("Mapping[str, Any]", json.loads((folder / _STATE).read_bytes()))
        sent = Sent(**content)
    except (FileNotFoundError, ValueError, TypeError):
        return Sent(url)
    # After the files were deleted by hand, numbers begin again.
    return sent if sent.url == url and sent.file <= newest(folder) else Sent(url)


def record_lost(folder: Path, url: str, lost: int) -> None:
    """Count events that were deleted with their file before the server took them."""
    sent = read_sent(folder, url)
    _save(folder, replace(sent, lost=sent.lost + lost))


def send(folder: Path, destination: Destination) -> Sent:
    """Send the events that the server does not have yet, and return and store the progress. Raises OSError.

    Ends at the first event that the server does not take, and after `BUDGET_SECONDS`. Every failure is counted; none is
    raised.
    """
    import requests

    sent = read_sent(folder, destination.url)
    deadline = time.monotonic() + BUDGET_SECONDS
    try:
        key = _key(destination)
        with requests.Session() as session:
            session.headers["Content-Type"] = "application/json"
            # As an authentication of its own: a header would be replaced by a login of the user's .netrc.
            session.auth = _BearerKey(key)
            for line in read_from(folder, sent.position):
                is_taken = _post(session, destination.url, line.content)
                sent = replace(
                    sent,
                    file=line.after.file,
                    byte=line.after.byte,
                    events=sent.events + is_taken,
                    refused=sent.refused + (not is_taken),
                )
                if time.monotonic() >= deadline:
                    break
        sent = replace(sent, failures=0, error="")
    except LakeError as error:
        sent = replace(sent, failed=sent.failed + 1, failures=sent.failures + 1, error=str(error))
    _save(folder, sent)
    return sent


def describe(folder: Path, destination: Destination) -> list[str]:
    """Return a sentence for each problem of the events to the server."""
    sent = read_sent(folder, destination.url)
    sentences: list[str] = []
    if sent.failures:
        waiting = count_lines(folder, sent.position)
        times = "time" if sent.failures == 1 else "times in a row"
        sentences.append(
            f"lineage: {waiting:,} events wait for {sent.url}, which failed {sent.failures:,} {times}: {sent.error}"
        )
    if sent.refused:
        sentences.append(f"lineage: {sent.url} refused {sent.refused:,} events, which are in {folder}.")
    if sent.lost:
        sentences.append(f"lineage: {sent.lost:,} events were deleted before {sent.url} took them.")
    return sentences


def as_json(folder: Path, destination: Destination) -> dict[str, object]:
    """Return the progress with the number of events that wait, for `lake status --json`."""
    sent = read_sent(folder, destination.url)
    return {**asdict(sent), "waiting": count_lines(folder, sent.position)}


@dataclass(frozen=True, slots=True)
class _BearerKey:
    """An API key as requests takes an authentication; without one nothing is added."""

    key: str

    def __call__(self, request: "requests.PreparedRequest") -> "requests.PreparedRequest":
        if self.key:
            request.headers["Authorization"] = f"Bearer {self.key}"
        return request


def _key(destination: Destination) -> str:
    if destination.key_file is None:
        return ""
    key = read_password(destination.key_file, "LAKE_LINEAGE_KEY_FILE")
    if not key.isascii() or not key.isprintable():
        raise SettingsError(f"{destination.key_file} has characters that no API key has: write the key into it.")
    return key


def _post(session: "requests.Session", url: str, event: bytes) -> bool:
    """Return True if the server took the event, False if it refuses it for good. Raises Unavailable."""
    import requests

    try:
        # A redirect could lead the API key elsewhere.
        reply = session.post(url, data=event, timeout=REQUEST_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        raise Unavailable(f"it does not answer ({type(error).__name__}): check LAKE_LINEAGE_URL.") from None
    if reply.status_code in _REFUSED:
        return False
    if not reply.ok or reply.is_redirect:
        raise Unavailable(f"it answers HTTP {reply.status_code}: check LAKE_LINEAGE_URL and the API key.")
    return True


def _save(folder: Path, sent: Sent) -> None:
    write_atomically(folder / _STATE, json.dumps(asdict(sent)), private=True, durable=False)
