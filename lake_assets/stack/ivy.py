"""Run the Ivy that PySpark ships: it downloads from the public Maven repository, its default."""

import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from lake_assets.errors import LakeError


class IvyMissing(LakeError):
    """PySpark, which ships Ivy, is not installed."""


def ivy_jar() -> Path:
    """Return the path of Ivy's jar without importing PySpark. Raises IvyMissing."""
    package = find_spec("pyspark")
    folders = package.submodule_search_locations if package else None
    jars = list(Path(folders[0]).glob("jars/ivy-*.jar")) if folders else []
    if not jars:
        raise IvyMissing("The package pyspark, which ships Ivy, is not installed: run `make setup`.")
    return jars[0]


def run_ivy(
    java: str,
    module: Path,
    cache: Path,
    *,
    settings: Path | None = None,
    types: tuple[str, ...] = (),
    output: IO[bytes] | None = None,
    hold: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start one Ivy that downloads the modules of the ivy.xml at `module` into `cache`; the caller waits for it.

    `hold` is a file descriptor that stays open as long as the process lives.
    """
    command = [java, "-Xmx256m", "-XX:+UseSerialGC", "-jar", str(ivy_jar()), "-ivy", str(module), "-cache", str(cache)]
    if settings:
        command += ["-settings", str(settings)]
    if types:
        command += ["-types", *types]
    errors = subprocess.STDOUT if output else None
    return subprocess.Popen(command, stdout=output, stderr=errors, cwd=cache, pass_fds=() if hold is None else (hold,))
