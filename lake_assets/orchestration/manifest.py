"""dbt's manifest of this lake: made when there is none or when the project has changed, read by Dagster."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lake_assets.errors import LakeError
from lake_assets.settings import Settings
from lake_assets.warehouse.dbt_environment import OWN_SCHEMA, dbt_state, manifest_path

Manifest = Mapping[str, Any]
PARTIAL_PARSE = "partial_parse.msgpack"


class DbtProjectError(LakeError):
    """The dbt project cannot be parsed; the message carries dbt's own."""


def load_manifest(settings: Settings) -> Manifest:
    """The manifest of the project as it is now. Raises DbtProjectError.

    A fresh clone has none, so that the first call takes as long as dbt takes to start; later ones parse again only
    when a file of the project is newer.
    """
    path = manifest_path(settings)
    if _is_stale(settings, path):
        with locked(dbt_state(settings) / "parse.lock"):
            if _is_stale(settings, path):
                _parse(settings, path)
    return json.loads(path.read_bytes())


def newest_change(settings: Settings) -> float:
    """When the dbt project was changed last, in seconds since 1970."""
    folders = (settings.dbt_project / name for name in ("models", "macros"))
    # A folder changes when a file in it comes or goes.
    files = [*settings.dbt_project.glob("*.yml"), *(file for folder in folders for file in folder.rglob("*"))]
    return max((file.stat().st_mtime for file in files), default=0.0)


def dbt_executable() -> str:
    """`lake-dbt` beside the interpreter: PATH may lead to another environment."""
    return str(Path(sys.executable).parent / "lake-dbt")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock on the file, waiting for it; the kernel lets go of it when the process dies, however it dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_stale(settings: Settings, path: Path) -> bool:
    return not path.exists() or newest_change(settings) >= path.stat().st_mtime


def _parse(settings: Settings, path: Path) -> None:
    work = dbt_state(settings) / "parse"
    # Before dbt looks, so that a file that changes meanwhile is newer than the manifest.
    path.parent.mkdir(parents=True, exist_ok=True)
    stamp = path.with_suffix(".stamp")
    stamp.touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DBT_")}
    environment.pop(OWN_SCHEMA, None)
    environment |= {
        "LAKE_HOME": str(settings.home),
        "LAKE_TARGET": settings.target,
        "LAKE_DBT_PROJECT": str(settings.dbt_project),
        "DBT_TARGET_PATH": str(work),
        "DBT_LOG_PATH": str(work),
    }
    done = subprocess.run(
        [dbt_executable(), "--quiet", "--no-use-colors", "parse"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = " ".join(done.stdout.split())
        raise DbtProjectError(f"the dbt project in {settings.dbt_project} cannot be parsed: {said}")
    shutil.copyfile(work / PARTIAL_PARSE, path.with_name(PARTIAL_PARSE))
    manifest = shutil.copyfile(work / "manifest.json", path.with_suffix(".new"))
    os.utime(manifest, ns=(stamp.stat().st_mtime_ns, stamp.stat().st_mtime_ns))
    manifest.replace(path)
