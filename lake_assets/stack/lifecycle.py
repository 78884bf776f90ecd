"""Start, inspect and stop the embedded stack of one lake: the lake at `LAKE_HOME`."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from lake_assets.bucket import check
from lake_assets.home import Home, remove_sockets
from lake_assets.local_files import file_lock
from lake_assets.object_stores import scheme
from lake_assets.settings import lake_home, load_settings
from lake_assets.spill import remove_orphans
from lake_assets.stack.addresses import read_addresses
from lake_assets.stack.connect_plugin import compile_plugin
from lake_assets.stack.health import checks, failed_connectors
from lake_assets.stack.jar_lock import needed_by, read_lock
from lake_assets.stack.jars import complete_jars, jars_folder, missing
from lake_assets.stack.java import find_java
from lake_assets.stack.logs import last_error_now, last_start
from lake_assets.stack.private_files import close_files
from lake_assets.stack.starting import PartFailed, Progress, Start
from lake_assets.stack.stream import failed_metrics, is_stream
from lake_assets.stack.supervisor import Supervisor, end_processes, orphans, owned_processes
from lake_assets.waiting import poll_until

RESTART_SECONDS = 60.0
# Writers stop before the parts they write to.
STOP_STEPS = (("daemon", "webserver", "dashboard"), ("code", "dbt"), ("connect",), ("kafka", "postgres"))


@dataclass(frozen=True, slots=True)
class PartStatus:
    """The current state of one part.

    `state` is supervisor's word in lower case, `external` for an external Postgres, `unsupervised` when it answers
    although its supervisor is missing (`lake up` fixes that). `uptime` is in seconds. `health` is None when the part
    answered a real request, else the reason it did not. `last_error` is the last line of its log that reports an error
    since the stack was started. For a part that answers, only errors of its own process in the last minutes count.
    """

    name: str
    state: str
    pid: int | None
    uptime: float | None
    health: str | None
    last_error: str | None


def up(
    on_progress: Progress = lambda _: None,
    parts: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
) -> None:
    """Start the parts (None: all) with their needs, and return when each answers a real request.

    Running parts are left alone, parts whose configuration changed are restarted. `without` names optional parts that
    are stopped and left out, also by later calls with None. `on_progress` gets one short sentence per step, from
    several threads. Raises LakeError: no Java, a bucket that cannot be written, a port in use, a part that failed.
    """
    layout = Home(lake_home())
    java = find_java()
    layout.create()
    bucket = load_settings().bucket
    check(bucket)
    needs = [scheme(bucket)]
    if missing(jars_folder(), needed_by(needs, read_lock())):
        on_progress("fetching jars, about 200 MB")
    jars = complete_jars(java, needs=needs)
    compile_plugin(java, jars)
    with _alone(layout):
        if closed := close_files(layout):
            on_progress(f"closed {closed:,} files and folders of this lake to other users")
        if orphaned := remove_orphans(layout.home):
            on_progress(f"removed {orphaned:,} files and folders that killed processes had spilled")
        if not Supervisor(layout).is_running() and (unsupervised := owned_processes(layout)):
            on_progress(f"stopping {len(unsupervised)} processes without a supervisor")
            end_processes(unsupervised)
        Start(layout, java, jars, on_progress).run(parts, without)


def down() -> None:
    """Stop every process of this lake's stack, and no other; return when all have exited."""
    layout = Home(lake_home())
    if not layout.run.exists():
        return
    with _alone(layout):
        supervisor = Supervisor(layout)
        end_processes(orphans(layout, supervisor))
        if supervisor.is_running():
            streams = tuple(filter(is_stream, supervisor.processes()))
            supervisor.shutdown((streams, *STOP_STEPS))
        end_processes(owned_processes(layout))
        remove_sockets(layout.home)


def status() -> list[PartStatus]:
    """Check every part of the stack, all at the same time; takes 3 s at most."""
    layout, settings = Home(lake_home()), load_settings()
    addresses = read_addresses(layout)
    supervisor = Supervisor(layout)
    processes = supervisor.processes() if addresses and supervisor.is_running() else {}
    by_part = checks(settings, layout)
    code = processes.get("code", {})
    code_started = datetime.fromtimestamp(float(code["start"]), UTC) if code.get("pid") else None

    def check_part(part: str) -> PartStatus:
        process = processes.get(part, {})
        pid = process.get("pid") or None
        if not addresses:
            health = "not set up"
        elif process and not pid:
            health = "not running"
        else:
            health = by_part[part](float(process.get("start", 0)))
            if part == "connect" and health is None:
                health = failed_connectors(settings)
            elif is_stream(part) and health is None:
                health = failed_metrics(settings, layout, part)
        started = datetime.fromtimestamp(float(process["start"]) if pid else 0, UTC) if health is None else None
        state = process.get("statename", "STOPPED" if health else "UNSUPERVISED").lower()
        if part == "postgres" and addresses.get("postgres") == "external":
            state = "external"
        return PartStatus(
            name=part,
            state=state,
            pid=pid,
            uptime=time.time() - process["start"] if pid else None,
            health=health,
            last_error=last_error_now(layout.log(part), last_start(layout), started, datetime.now(UTC), code_started),
        )

    with ThreadPoolExecutor(len(by_part)) as pool:
        return list(pool.map(check_part, by_part))


def restart(part: str) -> None:
    """Stop one part, start it and wait until it answers. Raises Unavailable if the stack is not up."""
    layout = Home(lake_home())
    supervisor = Supervisor(layout)
    supervisor.stop_program(part)
    supervisor.start_program(part)
    wait_for_answer(part)


def reload_definitions() -> None:
    """Load the catalog again by replacing the code server. Webserver and daemon notice the new one within two seconds.

    Runs in progress continue: the server is killed, which they do not notice, while a graceful stop would interrupt
    them. Raises Unavailable if the stack is not up.
    """
    layout = Home(lake_home())
    supervisor = Supervisor(layout)
    before = supervisor.processes()["code"]["pid"]
    supervisor.kill_program("code")
    poll_until(
        lambda: supervisor.processes()["code"]["pid"], lambda pid: pid not in (0, before), RESTART_SECONDS, every=0.1
    )
    wait_for_answer("code")


def wait_for_answer(part: str) -> None:
    """Wait until a part that was started, or has something new to take up, answers. Raises PartFailed, Unavailable."""
    layout = Home(lake_home())
    supervisor = Supervisor(layout)
    check_health = checks(load_settings(), layout)[part]
    reason = poll_until(
        lambda: check_health(float(supervisor.processes()[part]["start"])),
        lambda reason: reason is None,
        RESTART_SECONDS,
        every=0.2,
    )
    if reason is not None:
        raise PartFailed(f"{part} does not answer ({reason}): see {layout.log(part)}.")


def _alone(layout: Home) -> AbstractContextManager[int]:
    """Lock the lake for one start or stop; a second one waits for the first."""
    return file_lock(layout.run / "lock")
