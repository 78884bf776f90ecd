"""Kafka Connect's REST API: make a domain's connector run, and report in one sentence why it does not."""

import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict
from urllib.parse import quote

from lake_assets.catalog.model import Asset
from lake_assets.compile.connector import ConnectorSpec, domain_connector
from lake_assets.errors import LakeError, SettingsError, Unavailable
from lake_assets.kafka_security import check_ca, read_password
from lake_assets.landing.raw_catalog import sink_catalog
from lake_assets.object_stores import store_of
from lake_assets.settings import Settings

Outcome = Literal["created", "updated", "unchanged"]

# Starting a connector's tasks stops and starts others': on two busy cores that was seen to take more than 15 seconds.
DEADLINE_SECONDS = 180.0
_POLL_SECONDS = 0.25
_REQUEST_SECONDS = 60.0
# After a restart the old failure is still shown for a moment.
_STALE_SECONDS = 3.0


class RestAccess(TypedDict):
    """Arguments of `requests` that authenticate the lake at the REST API."""

    auth: tuple[str, str] | None
    verify: str | bool


class ConnectorFailed(LakeError):
    """A connector or one of its tasks has failed; the message holds the line of the trace that matters."""


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """`error` is the root cause in one line, empty unless the state is FAILED."""

    id: int
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class ConnectorStatus:
    """States are Connect's: RUNNING, FAILED, UNASSIGNED, PAUSED, RESTARTING, STOPPED."""

    name: str
    state: str
    error: str
    tasks: tuple[TaskStatus, ...]

    @property
    def running(self) -> bool:
        return self.state == "RUNNING" and bool(self.tasks) and all(task.state == "RUNNING" for task in self.tasks)

    @property
    def failure(self) -> str | None:
        """Return the failed part with its cause, or None."""
        if self.state == "FAILED":
            return f"connector '{self.name}' failed: {self.error}"
        for task in self.tasks:
            if task.state == "FAILED":
                return f"task {task.id} of connector '{self.name}' failed: {task.error}"
        return None


def connector_for(
    settings: Settings, domain: str, assets: Iterable[Asset] = (), left_out: Collection[str] = ()
) -> ConnectorSpec:
    """Return the connector of a domain with these assets in this lake; those of other domains are ignored.

    It does not read topics that are `left_out`.
    """
    own = [asset for asset in assets if asset.domain == domain and not asset.routes_itself]
    return domain_connector(
        domain,
        catalog=sink_catalog(settings),
        warehouse=settings.raw_warehouse,
        bucket=store_of(settings.bucket).sink,
        commit_interval_ms=settings.commit_seconds * 1000,
        tasks=settings.profile.sink_tasks,
        kafka=settings.kafka_for_java,
        tables={asset.topic: ".".join(asset.raw_name) for asset in own},
        left_out=left_out,
    )


def rest_access(settings: Settings) -> RestAccess:
    """Return the credentials for the REST API. Raises SettingsError for an unusable file."""
    access = settings.connect_access
    check_ca(access.ca, "LAKE_CONNECT_CA")
    auth = (access.user, read_password(access.password_file, "LAKE_CONNECT_PASSWORD_FILE")) if access.user else None
    return RestAccess(auth=auth, verify=str(access.ca) if access.ca else True)


def config_differences(settings: Settings, spec: ConnectorSpec) -> Mapping[str, tuple[str | None, str | None]] | None:
    """Return keys whose value differs, as (is, should be); None when there is no such connector. Changes nothing."""
    reply = _request(settings, "GET", f"/connectors/{quote(spec.name)}/config")
    if reply is None:
        return None
    current = {key: value for key, value in reply.items() if key != "name"}
    return {
        key: (current.get(key), spec.config.get(key))
        for key in sorted({*current, *spec.config})
        if current.get(key) != spec.config.get(key)
    }


def ensure_connector(settings: Settings, spec: ConnectorSpec, deadline_seconds: float = DEADLINE_SECONDS) -> Outcome:
    """Create or update the connector when its config differs, restart failed parts, and wait until all parts run.

    Its tables and topics, and above all its control topic, must exist before.

    Raises ConnectorFailed with the cause, LakeError for a refused config, Unavailable when the worker does not answer.
    """
    deadline = time.monotonic() + deadline_seconds
    outcome = _configure(settings, spec, deadline)
    _wait_until_running(settings, spec, deadline)
    return outcome


def ensure_connectors(settings: Settings, specs: Sequence[ConnectorSpec], on_progress: Callable[[str], None]) -> None:
    """Do what `ensure_connector` does for each of them, and wait for all together, because they start together.

    A connector that is refused or fails keeps no other from running: ConnectorFailed is raised after the last one, with
    all causes. Raises Unavailable when the worker does not answer, or a connector has no state.
    """
    causes: list[str] = []
    configured: list[ConnectorSpec] = []
    for spec in specs:
        on_progress(f"connector {spec.name}")
        try:
            _configure(settings, spec, time.monotonic() + DEADLINE_SECONDS)
            configured.append(spec)
        except Unavailable:
            raise
        except LakeError as error:
            causes.append(str(error))
    deadline = time.monotonic() + DEADLINE_SECONDS
    for spec in configured:
        try:
            _wait_until_running(settings, spec, deadline)
        except ConnectorFailed as error:
            causes.append(str(error))
    if causes:
        raise ConnectorFailed(" ".join(causes))


def _configure(settings: Settings, spec: ConnectorSpec, deadline: float) -> Outcome:
    differences = config_differences(settings, spec)
    if differences is None or differences:
        _request(settings, "PUT", f"/connectors/{quote(spec.name)}/config", deadline, dict(spec.config))
    else:
        restart_failed(settings, spec.name)
    return "created" if differences is None else "updated" if differences else "unchanged"


def delete_connector(settings: Settings, name: str) -> None:
    """Delete the connector if it exists. Raises Unavailable."""
    _request(settings, "DELETE", f"/connectors/{quote(name)}")


def connector_status(settings: Settings, name: str) -> ConnectorStatus | None:
    """Return the state of a connector and its tasks; None when there is no such connector. Raises Unavailable."""
    reply = _request(settings, "GET", f"/connectors/{quote(name)}/status")
    return None if reply is None else _status(name, reply)


def _status(name: str, reply: Mapping[str, Any]) -> ConnectorStatus:
    tasks = tuple(TaskStatus(task["id"], task["state"], _cause(task.get("trace", ""))) for task in reply["tasks"])
    connector = reply["connector"]
    return ConnectorStatus(name, connector["state"], _cause(connector.get("trace", "")), tasks)


def failures(settings: Settings) -> dict[str, str]:
    """Return the failures of all connectors of the worker, by connector, in one request. Raises Unavailable."""
    reply: dict[str, Any] = _request(settings, "GET", "/connectors?expand=status") or {}
    by_name = {name: _status(name, entry["status"]).failure for name, entry in reply.items()}
    return {name: failure for name, failure in by_name.items() if failure}


def restart_failed(settings: Settings, name: str) -> bool:
    """Restart the failed parts of a connector. Return True if there were any."""
    status = connector_status(settings, name)
    if status is None or status.failure is None:
        return False
    _request(settings, "POST", f"/connectors/{quote(name)}/restart?includeTasks=true&onlyFailed=true")
    return True


def _wait_until_running(settings: Settings, spec: ConnectorSpec, deadline: float) -> None:
    failing_since: float | None = None
    status: ConnectorStatus | None = None
    while time.monotonic() < deadline:
        status = connector_status(settings, spec.name)
        failure = status.failure if status else None
        failing_since = (failing_since or time.monotonic()) if failure else None
        if failing_since and time.monotonic() - failing_since > _STALE_SECONDS:
            raise ConnectorFailed(f"{failure}.")
        if status and status.running and _tasks_have(settings, spec):
            return
        time.sleep(_POLL_SECONDS)
    state = "has no state yet" if status is None else f"is {status.state}, its tasks {_states(status)}"
    raise Unavailable(
        f"connector '{spec.name}' {state} and does not run: see the log of Kafka Connect in {settings.home}."
    )


def _states(status: ConnectorStatus) -> str:
    return ", ".join(task.state for task in status.tasks) or "not started"


def _tasks_have(settings: Settings, spec: ConnectorSpec) -> bool:
    """Return True if the tasks were started with this config, and not with the previous one."""
    tasks: list[dict[str, Any]] = _request(settings, "GET", f"/connectors/{quote(spec.name)}/tasks") or []
    return bool(tasks) and all(spec.config.items() <= task["config"].items() for task in tasks)


def _cause(trace: str) -> str:
    """Return the root cause of a Java stack trace, and the failure that it caused, without package names."""
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    chain = lines[:1] + [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    # Reports only that the task has ended.
    causes = [cause for cause in chain if "Exiting WorkerSinkTask" not in cause] or chain
    return ", because of ".join(re.sub(r"^([\w$]+\.)+", "", cause) for cause in causes[-2:])


def _request(
    settings: Settings, method: str, path: str, deadline: float = 0.0, body: dict[str, Any] | None = None
) -> Any:
    """Return the reply's JSON, None for 404 and for an empty reply.

    While the workers rebalance, the request is repeated until `deadline`, by default DEADLINE_SECONDS from now. Raises
    Unavailable, or LakeError with Connect's own message.
    """
    import requests

    if settings.connect.endswith(":0"):
        raise Unavailable("this lake has no Kafka Connect worker yet: start it with `lake up`.")
    deadline = deadline or time.monotonic() + DEADLINE_SECONDS
    access = rest_access(settings)
    while True:
        try:
            reply = requests.request(method, settings.connect + path, json=body, timeout=_REQUEST_SECONDS, **access)
        except requests.exceptions.SSLError as error:
            raise SettingsError(
                f"Kafka Connect at {settings.connect} cannot be reached safely ({_tls_reason(error)}): check that "
                "LAKE_CONNECT_CA is the certificate file of its authority."
            ) from error
        except requests.RequestException as error:
            raise Unavailable(
                f"Kafka Connect at {settings.connect} does not answer ({type(error).__name__}): start it with "
                f"`lake up`, or see `lake status`."
            ) from error
        # Some replies report a rebalance by 409, others by 500 and these words.
        rebalancing = reply.status_code == requests.codes.conflict or "a rebalance is expected" in reply.text
        if not rebalancing or time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    if reply.status_code == requests.codes.not_found:
        return None
    if reply.status_code == requests.codes.unauthorized:
        raise SettingsError(
            f"Kafka Connect at {settings.connect} does not let in user '{settings.connect_access.user}': check "
            f"LAKE_CONNECT_USER and the password in {settings.connect_access.password_file}."
        )
    if not reply.ok:
        message = (
            reply.json().get("message", reply.text) if "json" in reply.headers.get("content-type", "") else reply.text
        )
        raise LakeError(f"Kafka Connect refused {method} {path}: {' '.join(message.split())}")
    return reply.json() if reply.content else None


def _tls_reason(error: Exception) -> str:
    """Return OpenSSL's own words from the middle of a text to which three libraries add theirs."""
    words = re.search(r"\] ([^(\"']+)", str(error))
    return words[1].strip() if words else "TLS failed"
