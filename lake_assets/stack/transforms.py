"""Kafka Connect transforms of the lake, compiled by the JDK that runs Kafka Connect."""

import hashlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from lake_assets.compile.connector import ENVELOPE
from lake_assets.errors import LakeError
from lake_assets.settings import PROJECT

SOURCES = PROJECT / "connectors" / "src"
_SERVICE = "META-INF/services/org.apache.kafka.connect.transforms.Transformation"
# The oldest Java that the stack supports, so that one folder of jars serves all of them.
_RELEASE = "17"
_NEEDED = ("connect-api-*.jar", "connect-transforms-*.jar", "kafka-clients-*.jar")


class TransformsError(LakeError):
    """The transforms could not be compiled."""

    exit_code = 3


def transforms_folder(jars: Path) -> Path:
    """Return the folder of the transforms for `plugin.path`; its name changes with their sources."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in _sources())).hexdigest()[:12]
    return jars / "transforms" / digest


def compile_transforms(java: str, jars: Path) -> Path:
    """Compile the transforms once, and return their folder. Raises TransformsError."""
    folder = transforms_folder(jars)
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    try:
        _compile(java, jars, aside / "classes")
        (aside / "plugin").mkdir()
        _pack(aside / "classes", aside / "plugin" / "lake-transforms.jar")
        try:
            (aside / "plugin").rename(folder)
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
    classes = os.pathsep.join(str(path) for name in _NEEDED for path in sorted((jars / "kafka").glob(name)))
    command += ["-cp", classes, "-d", str(into), *map(str, _sources())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "jdk.compiler not found" in done.stdout + done.stderr:
        raise TransformsError(f"'{java}' is a Java without a compiler: install a JDK 17, or set JAVA_HOME to one.")
    if done.returncode != 0:
        messages = [line for line in f"{done.stderr}{done.stdout}".splitlines() if not line.startswith("Picked up ")]
        raise TransformsError(
            f"The transforms of Kafka Connect could not be compiled: {messages[0] if messages else 'no reason'}"
        )


def _pack(classes: Path, jar: Path) -> None:
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(classes.rglob("*.class")):
            archive.write(path, path.relative_to(classes))
        # This file lets the worker list the jar's transforms without loading each class.
        archive.writestr(_SERVICE, f"{ENVELOPE}\n")
