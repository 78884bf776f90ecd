"""A new lake for a bench, or the running one, with the bench's contracts and metrics as its catalog."""

import argparse
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from lake_assets.settings import PROJECT, Settings, load_settings


@contextmanager
def lake(
    parts: Sequence[str] | None,
    contracts: Mapping[str, str] | None = None,
    metrics: Mapping[str, str] | None = None,
    running: bool = False,
) -> Generator[tuple[Settings, Path]]:
    """Start a lake with these parts (None: all). Yield its settings, and a folder that is deleted afterwards.

    Contracts and metrics are YAML by name. Without any, the catalog is the project's. With `running`, use the running
    lake of LAKE_HOME and keep it running; otherwise create a new one, and stop and delete it afterwards.
    """
    from lake_assets.stack.lifecycle import down, up

    folder = Path(tempfile.mkdtemp(prefix="lake-bench-"))
    # Roles of Postgres with less than the owner's rights read files below it.
    folder.chmod(0o755)
    environment = {"LAKE_DBT_PROJECT": str(folder / "dbt_project")}
    shutil.copytree(PROJECT / "dbt_project", folder / "dbt_project", ignore=shutil.ignore_patterns("target", "logs"))
    if contracts is not None:
        environment["LAKE_CATALOG"] = str(folder / "catalog")
        for kind, texts in (("assets", contracts), ("metrics", metrics or {})):
            (folder / "catalog" / kind).mkdir(parents=True)
            for name, text in texts.items():
                (folder / "catalog" / kind / f"{name}.yaml").write_text(text, "utf-8")
    if not running:
        environment["LAKE_HOME"] = str(folder / "lake")
    with mock.patch.dict(os.environ, environment):
        try:
            if not running:
                up(quiet, parts)
            yield load_settings(), folder
        finally:
            if not running:
                down()
            shutil.rmtree(folder, ignore_errors=True)


def add_running(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--running", action="store_true", help="use the lake that runs at LAKE_HOME")
    return parser


def quiet(_: str) -> None:
    """Discard progress messages."""
