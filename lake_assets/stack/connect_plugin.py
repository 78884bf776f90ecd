"""Plugins of Kafka Connect: the lake's own, compiled by the JDK that runs Kafka Connect, and those beside it."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from lake_assets.compile.connector import ENVELOPE, SINK
from lake_assets.errors import LakeError
from lake_assets.settings import PROJECT
from lake_assets.stack.jar_lock import LOCK

SOURCES = PROJECT / "connectors" / "src"
AUTHENTICATION = "lake.connect.BasicAuthentication"
# These files let the worker list what is in the jar without loading each class.
_SERVICES = {
    "transforms.Transformation": ENVELOPE,
    "sink.SinkConnector": SINK,
    "rest.ConnectRestExtension": AUTHENTICATION,
}
# The oldest Java that the stack supports, so that one folder of jars serves all of them.
_RELEASE = "17"
_NEEDED = (
    *(
        "kafka/connect-api-*.jar",
        "kafka/connect-transforms-*.jar",
        "kafka/kafka-clients-*.jar",
        "kafka/jakarta.ws.rs-api-*.jar",
        "kafka/slf4j-api-*.jar",
    ),
    *("plugins/iceberg/iceberg-*.jar", "plugins/iceberg/avro-*.jar"),
)


class PluginError(LakeError):
    """The plugin could not be compiled."""

    exit_code = 3


def plugin_folder(jars: Path) -> Path:
    """Return the worker's `plugin.path`, with all plugins; its name changes with the sources and with the jars."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in (LOCK, *_sources()))).hexdigest()[:12]
    return jars / "own" / digest


def compile_plugin(java: str, jars: Path) -> Path:
    """Compile the lake's own plugin once, and return the worker's `plugin.path`. Raises PluginError."""
    folder = plugin_folder(jars)
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    try:
        _compile(java, jars, aside / "classes")
        plugin = aside / "path" / "lake"
        plugin.mkdir(parents=True)
        _pack(aside / "classes", plugin / "lake.jar")
        # A plugin's classes see those of its own folder and of Kafka only. Links are relative, and to folders: all jars
        # may be copied elsewhere, and those for a bucket may come later.
        (plugin / "iceberg").symlink_to(Path("..", "..", "..", "plugins", "iceberg"))
        (plugin.parent / "jdbc").symlink_to(Path("..", "..", "plugins", "jdbc"))
        try:
            plugin.parent.rename(folder)
        except OSError:
            # Another process was faster.
            if not folder.exists():
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _sources() -> list[Path]:
    return sorted(SOURCES.rglob("*.java"))


def _compile(java: str, jars: Path, into: Path) -> None:
    command = [java, "-m", "jdk.compiler/com.sun.tools.javac.Main", "--release", _RELEASE, "-proc:none"]
    classes = os.pathsep.join(str(path) for name in _NEEDED for path in sorted(jars.glob(name)))
    command += ["-cp", classes, "-d", str(into), *map(str, _sources())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "jdk.compiler not found" in done.stdout + done.stderr:
        raise PluginError(f"'{java}' is a Java without a compiler: install a JDK 17, or set JAVA_HOME to one.")
    if done.returncode != 0:
        messages = [line for line in f"{done.stderr}{done.stdout}".splitlines() if not line.startswith("Picked up ")]
        raise PluginError(
            f"The plugin of Kafka Connect could not be compiled: {messages[0] if messages else 'no reason'}"
        )


def _pack(classes: Path, jar: Path) -> None:
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(classes.rglob("*.class")):
            archive.write(path, path.relative_to(classes))
        for service, name in _SERVICES.items():
            archive.writestr(f"META-INF/services/org.apache.kafka.connect.{service}", f"{name}\n")
