"""Archives of the classes that Kafka and Kafka Connect load at each start (class data sharing of the JVM).

A server that starts from one takes about half the processor time. Classes of Connect's plugins are not included,
because a JVM shares only those of its class path.
"""

import hashlib
from pathlib import Path

from lake_assets.stack.jar_lock import LOCK
from lake_assets.stack.java import java_version

SERVERS = ("kafka", "connect")


def archive_folder(java: str, jars: Path) -> Path:
    """Return the folder of the archives for this Java and these jars. A JVM ignores the archive of another one."""
    digests = (hashlib.sha256(data).hexdigest()[:12] for data in (LOCK.read_bytes(), java_version(java).encode()))
    return jars / "archives" / "-".join(digests)


def archive_options(java: str, jars: Path, server: str) -> tuple[str, ...]:
    """Return the JVM's option for a server's archive; none without an archive.

    A JVM whose archive is missing would not use the JDK's own archive either.
    """
    archive = archive_folder(java, jars) / f"{server}.jsa"
    return (f"-XX:SharedArchiveFile={archive}",) if archive.exists() else ()
