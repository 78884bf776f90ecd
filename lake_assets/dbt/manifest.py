"""dbt's manifest of this lake: parsed when missing or when the project changed, read by Dagster.

dbt parses a project as a whole: one model with a mistake stops all. So each state of the project that could be parsed
is copied beside its manifest. Marts are built from that copy until a newer state can be parsed.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lake_assets.dbt.environment import OWN_SCHEMA, dbt_state, manifest_path
from lake_assets.errors import LakeError
from lake_assets.local_files import file_lock, write_atomically
from lake_assets.settings import Settings

Manifest = Mapping[str, Any]
PARTIAL_PARSE = "partial_parse.msgpack"
# Builds of an earlier state may continue; one copy is as large as the project.
_KEEP_SECONDS = 86_400
# Exit codes of a dbt that came to its end without success. https://docs.getdbt.com/reference/exit-codes
_DBT_REFUSES = (1, 2)
# A signal says nothing about the project: a code server that starts again interrupts what the one before it began.
_ATTEMPTS = 3
# dbt's output, and files that do not belong to a project.
_NOT_COPIED = shutil.ignore_patterns("target", "logs", ".git", ".venv", ".*.new")


class DbtProjectError(LakeError):
    """The dbt project cannot be parsed and never could be; the message has dbt's own."""


def load_manifest(settings: Settings) -> Manifest:
    """Return the manifest of the project's newest state that can be parsed. Raises DbtProjectError if there is none.

    A fresh clone has none, so the first call takes as long as dbt takes to start. Later calls parse again only when a
    file of the project is newer.
    """
    path = manifest_path(settings)
    if _is_stale(settings, path):
        with file_lock(dbt_state(settings) / "parse.lock"):
            if _is_stale(settings, path):
                _parse(settings, path)
                write_atomically(_project(path), str(settings.dbt_project))
    if not path.exists():
        raise DbtProjectError(str(project_problem(settings)))
    return json.loads(path.read_bytes())


def project_problem(settings: Settings) -> str | None:
    """Return the reason that the newest state of the project is not the one that runs; None if it runs."""
    failure = _failure(manifest_path(settings))
    return failure.read_text("utf-8") if failure.exists() else None


def parsed_project(settings: Settings, manifest: Manifest) -> Path:
    """Return the copy of the project that this manifest was parsed from; the project itself if there is no copy."""
    copy = manifest_path(settings).parent / "projects" / str(manifest["metadata"].get("invocation_id"))
    return copy if copy.is_dir() else settings.dbt_project


def newest_change(settings: Settings) -> float:
    """Return the time of the dbt project's last change, in seconds since 1970."""
    folders = (settings.dbt_project / name for name in ("models", "macros"))
    # A folder changes when a file in it is added or deleted.
    files = [*settings.dbt_project.glob("*.yml"), *(file for folder in folders for file in folder.rglob("*"))]
    return max((file.stat().st_mtime for file in files), default=0.0)


def dbt_executable() -> str:
    """Return `lake-dbt` beside the interpreter: PATH may lead to another environment."""
    return str(Path(sys.executable).parent / "lake-dbt")


def project_environment(settings: Settings, project: Path, work: Path) -> dict[str, str]:
    """Return the environment of a `lake-dbt` call on a copy of the shared project, with dbt's output in `work`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DBT_")}
    environment.pop(OWN_SCHEMA, None)
    return environment | {
        "LAKE_HOME": str(settings.home),
        "LAKE_TARGET": settings.target,
        "LAKE_DBT_PROJECT": str(settings.dbt_project),
        "DBT_PROJECT_DIR": str(project),
        "DBT_PROFILES_DIR": str(project),
        "DBT_TARGET_PATH": str(work),
        "DBT_LOG_PATH": str(work),
    }


def _failure(manifest: Path) -> Path:
    """Return the file with the parse error of a state of the project; its mtime is the time of that attempt."""
    return manifest.with_suffix(".failed")


def _project(manifest: Path) -> Path:
    """Return the file with the path of the project that was parsed last."""
    return manifest.with_suffix(".project")


def _is_stale(settings: Settings, path: Path) -> bool:
    project = _project(path)
    # Another project's files may all be older than this manifest.
    if not project.exists() or project.read_text("utf-8") != str(settings.dbt_project):
        return True
    parsed_at = [file.stat().st_mtime for file in (path, _failure(path)) if file.exists()]
    return not parsed_at or newest_change(settings) >= max(parsed_at)


def _parse(settings: Settings, path: Path) -> None:
    work = dbt_state(settings) / "parse"
    # Before dbt reads the files, so that a file that changes meanwhile is newer than the manifest.
    path.parent.mkdir(parents=True, exist_ok=True)
    stamp = path.with_suffix(".stamp")
    stamp.touch()
    copy = path.parent / "projects" / "parsing"
    shutil.rmtree(copy, ignore_errors=True)
    try:
        shutil.copytree(settings.dbt_project, copy, ignore=_NOT_COPIED, ignore_dangling_symlinks=True)
    except OSError as error:
        _publish(_failure_text(settings, path, f"cannot be read: {error}"), _failure(path), stamp)
        return
    result = _call_parse(project_environment(settings, copy, work))
    if _is_interrupted(result):
        problem = f"could not be parsed, because dbt was ended {_ATTEMPTS} times (exit code {result.returncode})."
        # Older than all files of the project, so that the next caller tries again.
        os.utime(stamp, (0, 0))
        _publish(_failure_text(settings, path, problem), _failure(path), stamp)
        return
    if result.returncode != 0:
        output = " ".join(result.stdout.split()).replace(str(copy), str(settings.dbt_project))
        _publish(_failure_text(settings, path, f"cannot be parsed: {output}"), _failure(path), stamp)
        return
    shutil.copyfile(work / PARTIAL_PARSE, path.with_name(PARTIAL_PARSE))
    manifest = (work / "manifest.json").read_text("utf-8")
    copy.rename(copy.with_name(json.loads(manifest)["metadata"]["invocation_id"]))
    _publish(manifest, path, stamp)
    _failure(path).unlink(missing_ok=True)
    for old in copy.parent.iterdir():
        if time.time() - old.stat().st_ctime > _KEEP_SECONDS and old != parsed_project(settings, json.loads(manifest)):
            shutil.rmtree(old, ignore_errors=True)


def _call_parse(environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Return dbt's answer; the last one if a signal ended each of the attempts."""
    attempt = 1
    while True:
        result = subprocess.run(
            [dbt_executable(), "--quiet", "--no-use-colors", "parse"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if not _is_interrupted(result) or attempt == _ATTEMPTS:
            return result
        attempt += 1


def _is_interrupted(result: "subprocess.CompletedProcess[str]") -> bool:
    """Return True if dbt has not come to a result: one that refuses a project says why."""
    return result.returncode != 0 and not (result.returncode in _DBT_REFUSES and result.stdout.strip())


def _failure_text(settings: Settings, path: Path, problem: str) -> str:
    consequence = "The last state that could be parsed stays in use." if path.exists() else "No mart is built."
    return f"the dbt project in {settings.dbt_project} {problem} {consequence}"


def _publish(text: str, path: Path, stamp: Path) -> None:
    """Replace a file atomically, with the stamp's time as its mtime."""
    aside = path.with_suffix(".new")
    aside.write_text(text, "utf-8")
    os.utime(aside, ns=(stamp.stat().st_mtime_ns, stamp.stat().st_mtime_ns))
    aside.replace(path)
