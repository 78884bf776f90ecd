"""Make the class archives of Kafka and Kafka Connect: start both once, in a temporary home, and stop them.

`python -m lake_assets.stack.archive_making` is the second half of `make jars`. Both servers also start without
archives, so no failure here is an error.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path

from lake_assets.errors import LakeError
from lake_assets.home import Home
from lake_assets.kafka_security import LAKE_USER, embedded_access, java_options
from lake_assets.local_files import file_lock
from lake_assets.stack.addresses import THIS_MACHINE, choose_ports
from lake_assets.stack.class_archives import SERVERS, archive_folder
from lake_assets.stack.connect import connect_program, prepare_connect
from lake_assets.stack.jars import jars_folder
from lake_assets.stack.java import find_java
from lake_assets.stack.kafka import kafka_program, prepare_kafka
from lake_assets.stack.passwords import keep_kafka_passwords
from lake_assets.stack.programs import Program
from lake_assets.waiting import poll_until

STEP_SECONDS = 300.0  # for each step, which takes a few on an idle machine
POLL_SECONDS = 0.1


def make_archives(java: str, jars: Path) -> tuple[str, ...]:
    """Make the archives for this Java and these jars, once, and return the servers that have one.

    The folder appears atomically, with complete archives only: a JVM that gets half an archive crashes. If no archive
    can be made, the folder is created empty, so that later starts do not try again.
    """
    folder = archive_folder(java, jars)
    with file_lock(folder.parent / ".lock"):
        if not folder.exists():
            _remove_others(folder)
            aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
            with contextlib.suppress(LakeError, OSError, subprocess.TimeoutExpired):
                _run_servers(java, jars, aside)
            for archive in aside.iterdir():
                if not _is_complete(java, jars, archive):
                    archive.unlink()
            aside.chmod(0o755)
            aside.replace(folder)
    return tuple(server for server in SERVERS if (folder / f"{server}.jsa").exists())


def _remove_others(folder: Path) -> None:
    """Remove archives of other jars, and the output of interrupted runs; archives of other Javas stay."""
    same_jars = folder.name.partition("-")[0]
    for path in folder.parent.iterdir():
        if path.is_dir() and not path.name.startswith(same_jars):
            shutil.rmtree(path, ignore_errors=True)


def _run_servers(java: str, jars: Path, archives: Path) -> None:
    """Run a broker and a worker until the worker answers; each writes its archive when it exits."""
    with tempfile.TemporaryDirectory(prefix="lake-", ignore_cleanup_errors=True) as home:
        layout = Home(Path(home))
        layout.create()
        ports = choose_ports({}, layout.home, frozenset())
        kafka = f"{THIS_MACHINE}:{ports['kafka_port']}"
        keep_kafka_passwords(layout, kafka)
        prepare_kafka(layout, java, jars, ports)
        password = f"${{file:{layout.connect_secrets / 'kafka.properties'}:password}}"
        security = java_options(embedded_access(LAKE_USER, layout.kafka_password), password)
        prepare_connect(layout, jars, kafka, int(ports["connect_port"]), security=security)
        with (
            _running(kafka_program(layout, java, jars), layout, archives) as broker,
            _running(connect_program(layout, java, jars), layout, archives) as worker,
        ):
            url = f"http://{THIS_MACHINE}:{ports['connect_port']}/connectors"
            if not _wait(lambda: _answers(url), broker, worker):
                return
            worker.terminate()
            # The worker writes its archive after this line and no longer needs the broker, which writes its own
            # meanwhile.
            log = layout.log("connect")
            _wait(lambda: "Kafka Connect stopped" in log.read_text("utf-8"), worker)
            broker.terminate()
            for process in (worker, broker):
                process.wait(STEP_SECONDS)


@contextlib.contextmanager
def _running(program: Program, layout: Home, archives: Path) -> Generator["subprocess.Popen[bytes]"]:
    java, *arguments = program.command
    # Only the first compiler tier: that is enough for one start.
    command = [java, f"-XX:ArchiveClassesAtExit={archives / program.name}.jsa", "-XX:TieredStopAtLevel=1", *arguments]
    with layout.log(program.name).open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=layout.home)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    import requests

    try:
        return requests.get(url, timeout=3).ok
    except requests.RequestException:
        return False


def _wait(condition: Callable[[], bool], *processes: "subprocess.Popen[bytes]") -> bool:
    """Return True if the condition became true while these processes were running."""
    is_true, _ = poll_until(
        lambda: (condition(), any(process.poll() is not None for process in processes)),
        any,
        STEP_SECONDS,
        POLL_SECONDS,
    )
    return is_true


def _is_complete(java: str, jars: Path, archive: Path) -> bool:
    """Return True if a JVM accepts the archive, checksums included. The archive is then on the disk."""
    check = [
        *("-Xshare:on", "-XX:+VerifySharedSpaces", f"-XX:SharedArchiveFile={archive}"),
        *("-XX:+SuppressFatalErrorMessage", "-cp", f"{jars / 'kafka'}/*", "-version"),
    ]
    if subprocess.run([java, *check], capture_output=True, check=False).returncode != 0:
        return False
    with archive.open("rb") as file:
        os.fsync(file.fileno())
    return True


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers stop with it
    try:
        java, jars = find_java(), jars_folder()
        if archive_folder(java, jars).exists():
            return
        print("Preparing Kafka and Kafka Connect to start faster, once ...", flush=True)  # noqa: T201
        began = time.monotonic()
        archives = make_archives(java, jars)
    except (LakeError, OSError) as error:
        print(f"They start without archives: {error}")  # noqa: T201
    except KeyboardInterrupt:
        sys.exit("lake: The preparation was interrupted: run `make jars` again.")
    else:
        done = (
            "Prepared"
            if len(archives) == len(SERVERS)
            else "They start without archives, which this Java cannot make: found"
        )
        print(f"{done} after {time.monotonic() - began:.0f} s.")  # noqa: T201


if __name__ == "__main__":
    main()
