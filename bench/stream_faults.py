"""Whether the stream counts exactly once whatever happens to it, and how far it gets meanwhile.

    python -m bench.stream_faults [--events 2000000] [--rate 10000] [--seed 1]

Starts Kafka, Connect and Postgres in a lake of its own, which is removed afterwards, and three instances of a metric.
While events come, one fault follows the other at random moments, each kind at least once before any comes again: an
instance is killed, an instance stands still for longer than its session and its transaction last, the partitions move,
and Kafka, Connect or Postgres is killed. At the end the serving view is held against a fold of the events. Exits with 1
when they differ, or when a reader has seen a row go backwards.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from tests.stack.conditions import wait_until
from tests.stack.processes import frozen
from tests.stream.agreement import differences
from tests.stream.counted import Counted, make_counted
from tests.stream.events import Expected, orders
from tests.stream.faults import PARTS, TIMEOUTS_SECONDS, kill_part, mending, visit
from tests.stream.sending import produce
from tests.stream.watching import Watch

NAMES = ("one", "two", "three")
GAP_SECONDS = (1.0, 6.0)
SETTLE_SECONDS = 900


def kill_instance(made: Counted, draw: Random) -> None:
    name = draw.choice(NAMES)
    made.instances.kill(name)
    made.instances.start(name)


def freeze_instance(made: Counted, draw: Random) -> None:
    with frozen(made.instances.processes[draw.choice(NAMES)].pid):
        time.sleep(TIMEOUTS_SECONDS)


def move_partitions(made: Counted, draw: Random) -> None:
    visit(made.settings, made.asset, made.metric)


def kill_server(part: str) -> Callable[[Counted, Random], None]:
    return lambda made, draw: kill_part(made.settings, part)


FAULTS: dict[str, Callable[[Counted, Random], None]] = {
    "an instance killed": kill_instance,
    "an instance frozen": freeze_instance,
    "partitions moved": move_partitions,
    **{f"{part} killed": kill_server(part) for part in PARTS},
}


def faults(draw: Random) -> Iterator[str]:
    """The names of all faults in random order, again and again."""
    while True:
        yield from draw.sample(list(FAULTS), len(FAULTS))


def measure(home: Path, count: int, rate: float, seed: int) -> list[str]:
    """Counts so many events amid faults; what differs from the fold."""
    os.environ["LAKE_HOME"] = str(home / "lake")

    from lake_assets.settings import load_settings
    from lake_assets.stack.lifecycle import down, up

    up(lambda _: None, ("postgres", "kafka", "connect"))
    try:
        made = make_counted(load_settings(), home, "orders")
        try:
            return run(made, count, rate, Random(seed))
        finally:
            made.instances.stop_all()
    finally:
        down()


def run(made: Counted, count: int, rate: float, draw: Random) -> list[str]:
    expected, began = Expected(), time.monotonic()
    happened = dict.fromkeys(FAULTS, 0)
    ended = 0
    with mending(made.settings), Watch(made) as watch:
        made.instances.start(*NAMES)
        sending = produce(made, orders(count, expected, seed=draw.randrange(1_000_000)), rate)
        for fault in faults(draw):
            if not sending.is_alive():
                break
            time.sleep(draw.uniform(*GAP_SECONDS))
            said = f"{time.monotonic() - began:6.1f} s  {fault}"
            FAULTS[fault](made, draw)
            happened[fault] += 1
            ended += len(made.instances.ended())
            made.instances.restart_ended()
            print(f"{said}, {time.monotonic() - began:.1f} s all answer", flush=True)
        sending.join()
        sent = time.monotonic()
        wait_until(lambda: made.instances.restart_ended() or made.all_counted(), SETTLE_SECONDS)
        made.wait_until_settled(SETTLE_SECONDS)
    print(f"{count:,} events sent in {sent - began:.0f} s, in the database {time.monotonic() - sent:.1f} s later")
    print("  ".join(f"{fault}: {times}" for fault, times in happened.items()))
    print(f"instances that ended by themselves: {ended}; looks of the reader: {watch.looks:,}")
    return differences(made, expected, watch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rate", type=float, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="lake-bench-"))
    try:
        found = measure(home, options.events, options.rate, options.seed)
    finally:
        shutil.rmtree(home)
    print("\n".join(found) if found else "the view equals the fold, to the unit, and no row went backwards")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
