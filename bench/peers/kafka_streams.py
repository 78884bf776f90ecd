"""Peer on the JVM: Kafka Streams of the broker's version, the usual choice for counting exactly once."""

import math
import time
from pathlib import Path

from bench.peers.run import Run, running
from lake_assets.kafka_security import java_options, read_password
from lake_assets.settings import Settings
from lake_assets.stack.jar_lock import read_lock
from lake_assets.stack.jars import complete_jars
from lake_assets.stack.java import find_java
from lake_assets.stack.kafka import LOGGING
from lake_assets.stack.passwords import write_private

HERE = Path(__file__).parent
JVM = ("-Xms1g", "-Xmx1g", "-XX:+UseParallelGC")
# The JIT compiler needs so many events: on 2 cores a CPU second was worth 40,000 events at first, 80,000
# after half a million and 160,000 to 240,000 after 1.5 million.
WARM_EVENTS = 2_000_000


def rate(settings: Settings, topic: str, count: int, work: Path, threads: int = 1) -> float:
    """Measure events per second of the second half of `count` events of `topic`, keyed by region, in a warm JVM.

    Downloads Kafka Streams into the jars folder if it is missing. Needs a JDK, because Java compiles the source at
    start. Raises PeerFailed, JarsError and NoJava.
    """
    java = find_java()
    jars = complete_jars(java)
    complete_jars(java, jars=read_lock(HERE / "jars.lock"))
    name = f"bench-kafka-streams-{time.time_ns()}"
    client, access = work / f"{name}.properties", settings.kafka_access
    security = java_options(access, read_password(access.password_file, "LAKE_KAFKA_PASSWORD_FILE"))
    lines = (f"{key}={value}\n" for key, value in {"bootstrap.servers": settings.kafka, **security}.items())
    write_private(client, "".join(lines))
    program = [java, *JVM, f"-Dlog4j2.configurationFile={LOGGING}", "-cp", f"{jars / 'kafka'}/*:{jars / 'peers'}/*"]
    command = [*program, str(HERE / "KafkaStreamsPeer.java"), str(client), topic, str(threads), str(work / name)]
    measured = 0.0
    with running(command, work / f"{name}.log") as process:
        assert process.stdin
        for number in range(math.ceil(WARM_EVENTS / count) + 1):  # the last one counts
            run = Run(settings, topic, f"{name}-{number}", count)
            run.make_output()
            process.stdin.write(f"{run.group} {run.output}\n".encode())
            process.stdin.flush()
            measured = run.measure(process)
    return measured
