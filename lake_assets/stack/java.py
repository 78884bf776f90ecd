"""Find a Java that Kafka, Iceberg and Spark all support."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from lake_assets.errors import LakeError

OLDEST, NEWEST = 17, 23  # Hadoop's file system code fails on 24 and later, which have no security manager
OPTIONS = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")


class NoJava(LakeError):
    """No Java was found, or none that the stack supports."""

    exit_code = 3


def find_java() -> str:
    """Return the path of `java`: `JAVA_HOME`'s, else the one on the PATH. Raises NoJava."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    location = f"JAVA_HOME ({home})" if home else "the PATH"
    if not java or not os.access(java, os.X_OK):
        raise NoJava(f"There is no Java at {location}: install a JDK 17 or set JAVA_HOME to one.")
    match = re.search(r'version "(?:1\.)?(\d+)', java_version(java))
    if not match:
        raise NoJava(f"'{java}' did not print its version: install a JDK 17 or set JAVA_HOME to one.")
    if not OLDEST <= int(match[1]) <= NEWEST:
        raise NoJava(f"'{java}' is Java {match[1]}, the stack needs {OLDEST} to {NEWEST}: set JAVA_HOME to a JDK 17.")
    return java


@cache
def java_version(java: str) -> str:
    """Return all that `java -version` prints, empty if it fails."""
    # Some of these options make Java print other lines, or run in another mode.
    environment = {name: value for name, value in os.environ.items() if name not in OPTIONS}
    result = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, env=environment)
    return result.stderr + result.stdout if result.returncode == 0 else ""
