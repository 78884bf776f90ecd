"""Kills of a lake's processes and commands by SIGKILL, one after the other, while it works."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from random import Random

import psutil

from lake_assets.home import Home
from lake_assets.stack.health import checks
from lake_assets.stack.supervisor import Supervisor
from tests.end_to_end.conftest import Lake
from tests.support.conditions import wait_until
from tests.support.traffic import START, sale, taps_contract

PARTS = ("postgres", "kafka", "connect", "dbt", "code", "daemon", "webserver", "dashboard", "stream")
# A process that the code server started for a run of Dagster.
RUN = "a run"
COMMANDS = ("run", "apply", "produce", "backfill")
# Seconds between two kills of parts, which do not wait for each other's recovery.
GAP = (2.0, 7.0)
# A command is killed so long after it has begun with its work, if it is still at it.
AT_WORK = (0.0, 4.0)
LINES = 4_000
SECOND_DAY = f"{START + timedelta(days=1):%Y-%m-%d}"
PIPE_BYTES = 1 << 16
_POLL_SECONDS = 0.1
# Errors of a command that ends by itself because a part is down.
_GIVEN_UP = re.compile("^lake: ", re.MULTILINE)


@dataclass(frozen=True, slots=True, eq=False)
class Kill:
    """`at` is of `time.monotonic`; `seconds` is how long the part needed to answer again, None for a child process."""

    victim: str
    at: float
    seconds: Future[float] | None = None


def victims(draw: Random, names: tuple[str, ...]) -> Iterator[str]:
    """Every name in random order, then one at random, for ever."""
    yield from draw.sample(names, len(names))
    while True:
        yield draw.choice(names)


class PartKiller:
    """Kills of parts of the lake's own supervisor, from `start` to `stop`.

    At first each part's own process; later, at random, a process that it started: a backend of Postgres, a call of dbt.
    """

    def __init__(self, lake: Lake, seed: int, log: Callable[[str], None]) -> None:
        self.kills: list[Kill] = []
        layout = Home(lake.settings.home)
        self._supervisor, self._checks = Supervisor(layout), checks(lake.settings, layout)
        self._draw, self._log = Random(seed), log
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(len(PARTS) + 1)
        self._down: set[str] = set()
        self._killing: Future[None] | None = None

    def start(self) -> None:
        self._killing = self._pool.submit(self._kill_all)

    def stop(self) -> None:
        """Return when every part answers again; raise what ended the killing."""
        self._stopping.set()
        assert self._killing is not None
        self._killing.result()
        self._pool.shutdown()

    def give_up(self) -> None:
        """End now, for a test that has failed."""
        self._stopping.set()
        self._pool.shutdown()

    @property
    def has_ended(self) -> bool:
        return self._killing is not None and self._killing.done()

    @property
    def killed(self) -> Counter[str]:
        return Counter(kill.victim for kill in self.kills)

    def outages(self, part: str) -> list[tuple[float, float]]:
        """Return the times from when until when the part did not answer, after it was stopped."""
        return [(k.at, k.at + k.seconds.result()) for k in self.kills if k.victim == part and k.seconds is not None]

    def _kill_all(self) -> None:
        for victim in victims(self._draw, (*PARTS, RUN)):
            gap, wants_child, place = self._draw.uniform(*GAP), self._draw.random() < 0.4, self._draw.random()
            if self._stopping.wait(gap):
                return
            kill = partial(self._kill, victim, victim == RUN or (wants_child and bool(self.killed[victim])), place)
            wait_until(lambda kill=kill: self._stopping.is_set() or kill(), every=_POLL_SECONDS)

    def _kill(self, victim: str, wants_child: bool, place: float) -> bool:
        """Return whether the process was there to be killed; a part that was killed a moment ago is not."""
        part = "code" if victim == RUN else victim
        own = self._supervisor.processes()[part]["pid"]
        if part in self._down or not own:
            return False
        try:
            started = _started(psutil.Process(own), victim) if wants_child else []
            if victim == RUN and not started:
                return False
            process = started[int(place * len(started))] if started else psutil.Process(own)
            at = time.monotonic()
            process.kill()
        except psutil.NoSuchProcess:
            return False
        seconds: Future[float] | None = None
        # Postgres ends all its backends and restarts when one was killed.
        if not started or part == "postgres":
            self._down.add(part)
            seconds = self._pool.submit(self._recover, part, 0 if started else own, at)
        self.kills.append(Kill(victim, at, seconds))
        self._log(f"killed {victim}{', a process of it' if started else ''}: {process.pid}")
        return True

    def _recover(self, part: str, before: int, at: float) -> float:
        def answers() -> bool:
            process = self._supervisor.processes()[part]
            return process["pid"] not in (0, before) and self._checks[part](float(process["start"])) is None

        wait_until(answers, every=_POLL_SECONDS)
        self._down.discard(part)
        seconds = time.monotonic() - at
        self._log(f"{part} answers again after {seconds:.1f} s")
        return seconds


def _started(process: psutil.Process, victim: str) -> list[psutil.Process]:
    """Return the processes that a part has started, in order; of the code server those of Dagster's runs, its forks."""
    children = sorted(process.children(), key=lambda child: child.pid)
    if victim == RUN:
        servers = [child for child in children if "multiprocessing.forkserver" in " ".join(child.cmdline())]
        return [run for server in servers for run in server.children()]
    return children


class CommandKiller:
    """Long commands that are killed amid their work and repeated to their end.

    `complaints` has the output of commands that were not killed, and neither did their work nor named a part that is
    down.
    """

    def __init__(self, lake: Lake, seed: int, stream_place: Callable[[], int], log: Callable[[str], None]) -> None:
        self.killed: Counter[str] = Counter()
        self.complaints: list[str] = []
        self._lake, self._log, self._place = lake, log, stream_place
        self._draw = Random(seed + 1)
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._killing: Future[None] | None = None
        self._numbers, self._versions = count(1), count(1)
        self._files: list[list[str]] = []
        self._unsent: list[list[str]] = []
        self._unfinished: set[str] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._killing = self._pool.submit(self._kill_all)

    def stop(self) -> None:
        """Repeat the killed commands that have not come to their end since; raise what ended the killing."""
        self._stopping.set()
        assert self._killing is not None
        self._killing.result()
        self._pool.shutdown()
        for names in self._unsent:
            wait_until(lambda names=names: self._finish("produce", names) == 0)
        for command in [*sorted(self._unfinished), "run"]:
            wait_until(lambda command=command: self._finish(command, []) == 0)

    def give_up(self) -> None:
        """End now, for a test that has failed."""
        self._stopping.set()
        if self._process is not None:
            self._process.kill()
        self._pool.shutdown()

    @property
    def has_ended(self) -> bool:
        return self._killing is not None and self._killing.done()

    def names(self) -> Iterator[str]:
        """The sales of files that were sent, each at least once."""
        for names in self._files:
            yield from names

    def _kill_all(self) -> None:
        for command in victims(self._draw, COMMANDS):
            draw, names = Random(self._draw.random()), list[str]()
            if command == "produce":
                first = self._place()
                names = [f"{first}x{line}" for line in range(LINES)]
            self._files += [names] if names else []
            while not self._kill(command, names, draw) and not self._stopping.is_set():
                continue
            # Also this one may meet a server that is away.
            if self._stopping.is_set() or self._finish(command, names) != 0:
                if names:
                    self._unsent.append(names)
                else:
                    self._unfinished.add(command)
            else:
                self._unfinished.discard(command)
            if self._stopping.is_set():
                return

    def _kill(self, command: str, names: list[str], draw: Random) -> bool:
        """Return whether the command was killed at work. Else it ended by itself, also when a part was down."""
        delay, share = draw.uniform(*AT_WORK), draw.random()
        if command == "apply":  # something to apply
            self._lake.contract("taps").write_text(taps_contract(next(self._versions)), "utf-8")
        process, output = self._begin(command)
        if command == "produce":
            _feed(process, names, share)
        else:
            wait_until(lambda: output.stat().st_size or process.poll() is not None, every=_POLL_SECONDS)
            until = time.monotonic() + delay
            wait_until(lambda: time.monotonic() >= until or process.poll() is not None, every=_POLL_SECONDS)
        if not _GIVEN_UP.search(output.read_text("utf-8")):
            process.kill()
        if process.wait() != -signal.SIGKILL:
            self._judge(command, process, output)
            return False
        self.killed[command] += 1
        self._log(f"killed lake {command}, process {process.pid}, which said {output.read_text('utf-8').split()[-6:]}")
        return True

    def _finish(self, command: str, names: list[str]) -> int:
        process, output = self._begin(command)
        if command == "produce":
            _feed(process, names, 1.0)
        process.wait()
        return self._judge(command, process, output)

    def _judge(self, command: str, process: "subprocess.Popen[bytes]", output: Path) -> int:
        text, code = output.read_text("utf-8"), process.returncode
        # dbt logs where it was when Postgres went away; the command then reports it in a sentence.
        traces = [trace for trace in text.split("Traceback")[1:] if "/dbt/adapters/" not in trace]
        if code not in (0, 1, 3) or traces:
            self.complaints.append(f"lake {command} ended with {code}: {text}")
        self._log(f"lake {command} ended with {code}: {text.strip().splitlines()[-1:]}")
        return code

    def _begin(self, command: str) -> "tuple[subprocess.Popen[bytes], Path]":
        arguments = {
            "produce": ["sales", "-", "--format", "jsonl", "--rate", "4000"],
            "backfill": ["sales", "--from", f"{START:%Y-%m-%d}", "--to", SECOND_DAY, "--yes"],
        }
        output = self._lake.folder / f"{next(self._numbers)}-{command}.txt"
        line = [str(Path(sys.executable).parent / "lake"), command, *arguments.get(command, [])]
        with output.open("wb") as printed:
            stdin = subprocess.PIPE if command == "produce" else subprocess.DEVNULL
            process = subprocess.Popen(
                line, bufsize=0, env=dict(self._lake.environment), stdin=stdin, stdout=printed, stderr=subprocess.STDOUT
            )
        self._process = process
        return process, output


def _feed(process: "subprocess.Popen[bytes]", names: list[str], share: float) -> None:
    """Give the command its lines: all of them, or so many that it is amid the share of them when the pipe is full."""
    assert process.stdin is not None
    whole = b"".join(sale(name).payload + b"\n" for name in names)
    # What is written and not read yet is what a pipe holds: the command is past the rest of it.
    length = len(whole) if share == 1.0 else PIPE_BYTES + int((len(whole) - PIPE_BYTES) * share)
    with suppress(BrokenPipeError):  # it has ended, because the broker is away
        process.stdin.write(whole[:length])
    if share == 1.0:
        process.stdin.close()
