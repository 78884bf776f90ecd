"""Install the lake's dependencies into the project: uv into .tools, the locked Python packages into .venv.

`python -m lake_assets.stack.setup` is `make setup`. It runs before anything is installed, so it uses the standard
library only, and does nothing when nothing changed.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from lake_assets.errors import LakeError
from lake_assets.local_files import file_lock
from lake_assets.stack.java import find_java

PROJECT = Path(__file__).resolve().parent.parent.parent
UV = "0.13.9"
OLDEST_UV = (0, 9, 0)  # older versions do not know the lock's format or `exclude-dependencies`
NEEDED_BYTES = 3_000_000_000
WITHOUT = ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")


class SetupError(LakeError):
    """Raised when set-up failed; the message has the remedy."""

    exit_code = 3


def set_up(project: Path) -> None:
    """Install the packages of uv.lock into `.venv`. Raises SetupError, NoJava."""
    find_java()  # checked first: set-up cannot install Java
    stamp, fingerprint = project / ".venv" / ".lake-installed", _fingerprint(project)
    if stamp.exists() and stamp.read_text("utf-8") == fingerprint:
        return
    tools = project / ".tools"
    with file_lock(tools / "lock"):
        if stamp.exists() and stamp.read_text("utf-8") == fingerprint:
            return
        _check_space(project)
        _sync(find_uv(tools), project)
        stamp.write_text(fingerprint, "utf-8")


def _fingerprint(project: Path) -> str:
    """Return a hash that changes when .venv must be updated."""
    files = b"".join((project / name).read_bytes() for name in ("uv.lock", "pyproject.toml"))
    return hashlib.sha256(files).hexdigest()


def find_uv(tools: Path) -> str:
    """Return a recent enough uv: the one on the PATH, else this project's own, fetched if missing."""
    project_uv = tools / "uv" / "bin" / "uv"
    for uv in (shutil.which("uv"), str(project_uv)):
        if uv and (_version(uv) or (0,)) >= OLDEST_UV:
            return uv
    print(f"Fetching uv {UV} into {project_uv.parent.parent} ...", flush=True)  # noqa: T201
    shutil.rmtree(tools / "uv", ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(tools / "uv")], "Python could not make a virtual environment")
    pip = [str(tools / "uv" / "bin" / "python"), "-m", "pip", "install", "--quiet", f"uv=={UV}"]
    _run(pip, "pip could not fetch uv")
    return str(project_uv)


def _version(uv: str) -> tuple[int, ...] | None:
    """Return uv's version; None if it is missing or broken, for example after an interrupted fetch."""
    try:
        result = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    match = re.match(r"uv (\d+)\.(\d+)\.(\d+)", result.stdout)
    return tuple(map(int, match.groups())) if match else None


def _sync(uv: str, project: Path) -> None:
    """Install the packages. Bytecode is compiled now; otherwise each part would compile it at its start."""
    print("Installing the Python packages of uv.lock into .venv ...", flush=True)  # noqa: T201
    command = [uv, "sync", "--frozen", "--compile-bytecode"]
    if not sys.stderr.isatty():
        command.append("--quiet")  # no list of 300 packages in a log
    if not (project / ".venv" / "bin" / "python").exists():
        command += ["--python", sys.executable]
    _run(command, "uv could not install the Python packages", cwd=project)


def _run(command: list[str], complaint: str, cwd: Path | None = None) -> None:
    """Run a tool whose output the user sees."""
    environment = {name: value for name, value in os.environ.items() if name not in WITHOUT}
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    result = subprocess.run(command, env=environment, cwd=cwd, check=False)
    if result.returncode != 0:
        raise SetupError(
            f"{complaint}: see its message above, fix it and run `make` again; finished steps are not repeated."
        )


def _check_space(project: Path) -> None:
    free = shutil.disk_usage(project).free
    if not (project / ".venv").exists() and free < NEEDED_BYTES:
        raise SetupError(
            f"Set-up needs {NEEDED_BYTES / 1e9:.0f} GB at '{project}', where {free / 1e9:.1f} GB are free: make room."
        )


def main() -> None:
    try:
        set_up(PROJECT)
    except LakeError as error:
        sys.exit(f"lake: {error}")
    except OSError as error:
        sys.exit(f"lake: Set-up could not write '{error.filename}': {error.strerror}.")
    except KeyboardInterrupt:
        sys.exit("lake: Set-up was interrupted: run `make` again, it continues where it stopped.")


if __name__ == "__main__":
    main()
