"""dbt's manifest with the compiled SQL of its models, for readers of that SQL."""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from lake_assets.dbt.environment import manifest_path
from lake_assets.dbt.manifest import (
    PARTIAL_PARSE,
    Manifest,
    dbt_executable,
    parsed_project,
    project_environment,
)
from lake_assets.settings import Settings


def compiled_manifest(settings: Settings, manifest: Manifest, *, introspect: bool) -> Manifest:
    """Return this manifest with `compiled_code` of each model that dbt can compile, or as it is if dbt fails.

    dbt needs no server for that. Only a model whose macros query the database does: `introspect` allows them to.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        parsed = manifest_path(settings).with_name(PARTIAL_PARSE)
        if parsed.exists():
            shutil.copyfile(parsed, work / PARTIAL_PARSE)
        options = ["--quiet", "--no-populate-cache", "--log-level-file", "none"]
        subprocess.run(
            [dbt_executable(), *options, "compile", *([] if introspect else ["--no-introspect"])],
            env=project_environment(settings, parsed_project(settings, manifest), work),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        written = work / "manifest.json"
        return json.loads(written.read_bytes()) if written.exists() else manifest
