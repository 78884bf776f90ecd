"""Installs what the lake runs on into the project: uv into .tools, the locked Python packages into .venv.

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
OLDEST_UV = (0, 9, 0)  # older ones do not know the lock's format or `exclude-dependencies`
NEEDED_BYTES = 3_000_000_000
WITHOUT = ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")


class SetupError(LakeError):
    """Set-up cannot go on; the message says what to mend."""

    exit_code = 3


def set_up(project: Path) -> None:
    """Make `.venv` what uv.lock says. Raises SetupError, NoJava."""
    find_java()  # said first: it is the one thing that set-up cannot bring
    stamp, wanted = project / ".venv" / ".lake-installed", _fingerprint(project)
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    tools = project / ".tools"
    with file_lock(tools / "lock"):
        if stamp.exists() and stamp.read_text("utf-8") == wanted:
            return
        _check_space(project)
        _sync(find_uv(tools), project)
        stamp.write_text(wanted, "utf-8")


def _fingerprint(project: Path) -> str:
    """Changes when .venv has to."""
    files = b"".join((project / name).read_bytes() for name in ("uv.lock", "pyproject.toml"))
    return hashlib.sha256(files).hexdigest()


def find_uv(tools: Path) -> str:
    """A uv that is new enough: the one on the PATH, else this project's own, which is fetched when it is missing."""
    own = tools / "uv" / "bin" / "uv"
    for uv in (shutil.which("uv"), str(own)):
        if uv and (_version(uv) or (0,)) >= OLDEST_UV:
            return uv
    print(f"Fetching uv {UV} into {own.parent.parent} ...", flush=True)  # noqa: T201
    shutil.rmtree(tools / "uv", ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(tools / "uv")], "Python could not make a virtual environment")
    pip = [str(tools / "uv" / "bin" / "python"), "-m", "pip", "install", "--quiet", f"uv=={UV}"]
    _run(pip, "pip could not fetch uv")
    return str(own)


def _version(uv: str) -> tuple[int, ...] | None:
    """None when it is not there or does not work, for example after an interrupted fetch."""
    try:
        told = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    found = re.match(r"uv (\d+)\.(\d+)\.(\d+)", told.stdout)
    return tuple(map(int, found.groups())) if found else None


def _sync(uv: str, project: Path) -> None:
    """Bytecode is compiled now, because each start of a part would else wait for it."""
    print("Installing the Python packages of uv.lock into .venv ...", flush=True)  # noqa: T201
    command = [uv, "sync", "--frozen", "--compile-bytecode"]
    if not sys.stderr.isatty():
        command.append("--quiet")  # no list of 300 packages in a log
    if not (project / ".venv" / "bin" / "python").exists():
        command += ["--python", sys.executable]
    _run(command, "uv could not install the Python packages", cwd=project)


def _run(command: list[str], complaint: str, cwd: Path | None = None) -> None:
    """Run a tool whose own messages the user sees."""
    environment = {name: value for name, value in os.environ.items() if name not in WITHOUT}
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    done = subprocess.run(command, env=environment, cwd=cwd, check=False)
    if done.returncode != 0:
        raise SetupError(f"{complaint}: see its message above, mend it and run make again; what is done stays done.")


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
        sys.exit("lake: Set-up was interrupted: run make again, it goes on where it stopped.")


if __name__ == "__main__":
    main()
