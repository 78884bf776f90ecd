"""Finds a Java that Kafka, Iceberg and Spark all run on."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from lake_assets.errors import LakeError

OLDEST, NEWEST = 17, 23  # Hadoop's file system code fails on 24 and later, where the security manager is gone
OPTIONS = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")


class NoJava(LakeError):
    """There is no Java, or not one that the stack runs on."""

    exit_code = 3


def find_java() -> str:
    """Path of the `java` program: `JAVA_HOME`'s, else the one on the PATH. Raises NoJava."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    where = f"JAVA_HOME ({home})" if home else "the PATH"
    if not java or not os.access(java, os.X_OK):
        raise NoJava(f"There is no Java at {where}: install a JDK 17 or set JAVA_HOME to one.")
    found = re.search(r'version "(?:1\.)?(\d+)', java_version(java))
    if not found:
        raise NoJava(f"'{java}' did not tell its version: install a JDK 17 or set JAVA_HOME to one.")
    if not OLDEST <= int(found[1]) <= NEWEST:
        raise NoJava(f"'{java}' is Java {found[1]}, the stack needs {OLDEST} to {NEWEST}: set JAVA_HOME to a JDK 17.")
    return java


@cache
def java_version(java: str) -> str:
    """Return all that this Java prints of its version, empty when it fails."""
    # It prints the options that it was given too, and another mode for some of them.
    environment = {name: value for name, value in os.environ.items() if name not in OPTIONS}
    done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, env=environment)
    return done.stderr + done.stdout if done.returncode == 0 else ""
