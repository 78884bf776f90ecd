"""Superset's locked packages, in a virtual environment of their own beside the jars.

`python -m lake_assets.stack.superset_packages` installs them ahead of a first `make bi`, and for its test.
"""

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from lake_assets.errors import LakeError
from lake_assets.local_files import file_lock
from lake_assets.settings import PROJECT
from lake_assets.stack.setup import find_uv

FILES = PROJECT / "deploy" / "superset"
# One for all lakes of the project.
PACKAGES = PROJECT / ".superset"
# Superset 6.1 has no packages for a newer Python that all of its dependencies install with.
PYTHON = "3.11"


def install_packages(on_progress: Callable[[str], None], folder: Path = PACKAGES) -> Path:
    """Install the packages, once for each state of their lock, and return the folder of their programs.

    uv checks their hashes. Raises LakeError.
    """
    folder.mkdir(exist_ok=True)
    requirements, venv, stamp = FILES / "requirements.txt", folder / "venv", folder / "installed"
    fingerprint = hashlib.sha256(requirements.read_bytes()).hexdigest()
    with file_lock(folder / "lock"):
        if not stamp.exists() or stamp.read_text("utf-8") != fingerprint:
            on_progress("installing Superset, 650 MB")
            uv = find_uv(PROJECT / ".tools")
            own = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
            environment = own | {"UV_PYTHON_DOWNLOADS": "never"}
            log = folder / "install.log"
            run_logged([uv, "venv", "--clear", "--python", PYTHON, str(venv)], environment, log)
            python = ["--python", str(venv / "bin" / "python")]
            run_logged([uv, "pip", "install", *python, "--require-hashes", "-r", str(requirements)], environment, log)
            stamp.write_text(fingerprint, "utf-8")
    return venv / "bin"


def run_logged(command: list[str], environment: dict[str, str], log: Path) -> None:
    """Run a command, whose output goes to the log. Raises LakeError with the log's last line if it fails."""
    with log.open("wb") as output:
        done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        lines = log.read_text("utf-8", errors="replace").strip().splitlines()
        raise LakeError(f"Superset could not be prepared ({lines[-1] if lines else 'without a reason'}): see {log}.")


if __name__ == "__main__":
    install_packages(print)
