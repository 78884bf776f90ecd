"""Health checks: send each part a real request. A check returns None for a healthy part, else a short reason."""

import shutil
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from textwrap import shorten
from urllib.parse import urlsplit

from lake_assets.home import Home, socket_path
from lake_assets.settings import Settings
from lake_assets.stack.addresses import read_addresses
from lake_assets.stack.dagster import code_socket
from lake_assets.stack.dashboard import PART, has_dashboard
from lake_assets.stack.stream import check_stream, stream_parts

SECONDS = 3.0
HEARTBEAT_SECONDS = 120.0  # written every 30 s
_ROOM = 100_000_000  # bytes


def check_postgres(settings: Settings) -> str | None:
    if refusal := _refuses(settings.postgres.host, settings.postgres.port):
        return refusal
    import psycopg

    try:
        with psycopg.connect(settings.postgres.conninfo("lake"), connect_timeout=int(SECONDS)) as connection:
            connection.execute("select 1")
    except psycopg.Error as error:
        return str(error).strip().splitlines()[-1]
    return None


def check_kafka(settings: Settings) -> str | None:
    host, _, port = settings.kafka.partition(",")[0].rpartition(":")
    if refusal := _refuses(host, int(port)):
        return refusal
    from lake_assets.errors import SettingsError
    from lake_assets.landing.broker import broker_options, hangs_up, silence

    try:
        error = silence(broker_options(settings), SECONDS)
    except SettingsError as problem:
        return str(problem)
    if error and hangs_up(error):
        return f"it closes the connection on a request: LAKE_KAFKA_SECURITY is '{settings.kafka_access.protocol}'"
    return error.str() if error else None


def check_connect(settings: Settings) -> str | None:
    from lake_assets.errors import SettingsError
    from lake_assets.landing.connect import rest_access

    try:
        return _ask_http(f"{settings.connect}/connectors", **rest_access(settings))
    except SettingsError as problem:
        return str(problem)


def failed_connectors(settings: Settings) -> str | None:
    """Return the failed connectors with their errors. Not part of the check: a worker that answers is ready."""
    from lake_assets.errors import LakeError
    from lake_assets.landing.connect import failures

    try:
        return "; ".join(shorten(failure, 200) for failure in failures(settings).values()) or None
    except LakeError as error:
        return str(error)


def check_webserver(settings: Settings) -> str | None:
    return _ask_http(f"http://127.0.0.1:{settings.dagster_port}/server_info")


def check_dashboard(settings: Settings) -> str | None:
    return _ask_http(f"{settings.dashboard_address}/_stcore/health")


def check_code(layout: Home, code_port: int) -> str | None:
    """Check the code server at its socket, or in a container at `code_port`."""
    path = code_socket(layout)
    if refusal := _refuses("127.0.0.1", code_port) if code_port else _refuses_socket(path):
        return refusal
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(f"127.0.0.1:{code_port}" if code_port else f"unix:{path}") as channel:
        try:
            request = health_pb2.HealthCheckRequest(service="DagsterApi")
            stub = health_pb2_grpc.HealthStub(channel)
            response = stub.Check(request, timeout=SECONDS)  # pyright: ignore[reportAttributeAccessIssue]
        except grpc.RpcError as error:
            return str(error.details())  # pyright: ignore[reportAttributeAccessIssue]
    return None if response.status == health_pb2.HealthCheckResponse.SERVING else "it is not serving"


def check_daemon(settings: Settings, since: float) -> str | None:
    """Check that the daemon started at `since` (epoch seconds) has written a recent heartbeat."""
    import psycopg

    newest = "select extract(epoch from max(timestamp at time zone 'UTC')) from daemon_heartbeats"
    try:
        conninfo = settings.postgres.conninfo("dagster", "dagster")
        with psycopg.connect(conninfo, connect_timeout=int(SECONDS)) as connection:
            row = connection.execute(newest).fetchone()
    except psycopg.Error as error:
        return str(error).strip().splitlines()[-1]
    beat = float(row[0]) if row and row[0] is not None else 0.0
    if beat < since:
        return "no heartbeat since it was started"
    silent = time.time() - beat
    return None if silent < HEARTBEAT_SECONDS else f"no heartbeat for {silent:.0f} s"


def check_dbt(layout: Home) -> str | None:
    return _refuses_socket(socket_path(layout.home, "dbt.sock"))


def checks(settings: Settings, layout: Home, code_port: int = 0) -> Mapping[str, Callable[[float], str | None]]:
    """Return the check of each part; its argument is the start of the part's process, in epoch seconds."""
    return {
        "postgres": lambda _: check_postgres(settings),
        "kafka": lambda _: check_kafka(settings),
        "connect": lambda _: check_connect(settings),
        "dbt": lambda _: check_dbt(layout),
        "code": lambda _: check_code(layout, code_port),
        "daemon": lambda since: check_daemon(settings, since),
        "webserver": lambda _: check_webserver(settings),
        **({PART: lambda _: check_dashboard(settings)} if has_dashboard(settings, read_addresses(layout)) else {}),
        **{part: partial(check_stream, settings, layout, part) for part in stream_parts(settings)},
    }


def check_disk(home: Path) -> str | None:
    """Return the remedy if the lake's disk is nearly full: its servers would exit one after the other."""
    free = shutil.disk_usage(home).free if home.exists() else _ROOM
    if free >= _ROOM:
        return None
    return (
        f"The disk of {home} has {free / 1e6:.1f} MB left: make room there. Servers that exited restart by themselves. "
        "No stored data is lost."
    )


def _refuses(host: str, port: int) -> str | None:
    """Try to connect first: waiting for a part that is starting then costs it no processor time."""
    try:
        socket.create_connection((host, port), timeout=SECONDS).close()
    except OSError as error:
        return f"port {port}: {error.strerror or error}"
    return None


def _refuses_socket(path: Path) -> str | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(SECONDS)
        try:
            probe.connect(str(path))
        except OSError as error:
            return f"{path.name}: {error.strerror or error}"
    return None


def _ask_http(url: str, auth: tuple[str, str] | None = None, verify: str | bool = True) -> str | None:
    address = urlsplit(url)
    if refusal := _refuses(address.hostname or "", address.port or (443 if address.scheme == "https" else 80)):
        return refusal
    import requests

    try:
        response = requests.get(url, timeout=SECONDS, auth=auth, verify=verify)
    except requests.RequestException as error:
        return "it does not answer" if isinstance(error, requests.ConnectionError) else str(error)
    return None if response.ok else f"HTTP {response.status_code}"
