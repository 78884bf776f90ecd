"""One run of a peer over the events, measured and checked from outside."""

import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.peers.progress import Committed, second_half
from bench.peers.verify import check
from lake_assets.landing.broker import broker_options
from lake_assets.settings import Settings

STOP_SECONDS = 20.0
LOG_LINES = 15


class PeerFailed(Exception):
    """Raised when a peer could not be measured; the message has the end of its output."""


@dataclass(frozen=True, slots=True)
class Run:
    """The first `count` events of `topic`, counted by the consumer group `group` into a topic of its own."""

    settings: Settings
    topic: str
    group: str
    count: int

    @property
    def output(self) -> str:
        return f"{self.group}-rows"

    def make_output(self) -> None:
        """Create the topic for the rows, with as many partitions as the input has.

        Retention goes by the records' timestamps, which are event times: rows of last month would be deleted at once.
        """
        client = AdminClient({**broker_options(self.settings), "log_level": 4})
        partitions = len(client.list_topics(self.topic, timeout=30).topics[self.topic].partitions)
        topic = NewTopic(self.output, num_partitions=partitions, config={"retention.ms": "-1"})
        client.create_topics([topic])[self.output].result()

    def measure(self, process: subprocess.Popen[bytes]) -> float:
        """Measure events per second of the second half, and check the rows. Raises Wrong, Stalled."""
        committed = Committed(self.settings, self.group, self.topic)
        rate = second_half(committed.events, self.count, lambda: process.poll() is None)
        check(self.settings, self.topic, committed.offsets(), self.output)
        return rate


@contextmanager
def running(command: Sequence[str], log: Path) -> Generator[subprocess.Popen[bytes]]:
    """Run a process within the block; at its end, close its standard input and wait for its exit.

    Its output goes to `log`. Raises PeerFailed, with the last lines of the output, when the block fails.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
    except Exception as failure:
        lines = log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
        raise PeerFailed("\n".join([str(failure), f"The last lines of {log.name}:", *lines])) from failure
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a peer: it should exit when its input is closed or everything is counted, otherwise it is killed."""
    assert process.stdin
    process.stdin.close()
    for force in (lambda: None, process.terminate, process.kill):
        force()
        try:
            process.wait(STOP_SECONDS)
            return
        except subprocess.TimeoutExpired:
            continue
