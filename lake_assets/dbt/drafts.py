"""Drafts of models: files of the working tree, compiled without a database and judged before they run.

The text of a draft is a program of its author's: dbt gets no variable with a secret and no query, and what it compiles
is judged again here, because the files of the dbt project decide what dbt does.
"""

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake_assets.catalog.model import Asset
from lake_assets.catalog.problems import closest
from lake_assets.dbt.compiled_models import problem_of_model
from lake_assets.dbt.environment import manifest_path
from lake_assets.dbt.grain import grain_of
from lake_assets.dbt.manifest import PARTIAL_PARSE, Manifest, dbt_executable, project_environment
from lake_assets.dbt.mart_reads import refused_models
from lake_assets.errors import LakeError
from lake_assets.select_syntax import parse_select
from lake_assets.settings import Settings

_NAME = re.compile(r"\w+")
# Databases of a preview's session, by the names that compiled SQL has; none is written in a query by hand.
_DATABASES = frozenset({"", "lake", "serving"})
# Variables that programs need; of the lake's own, these two may have a password in them or lead to a key.
_NEEDED = frozenset({"HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "VIRTUAL_ENV"})
_SECRET = frozenset({"LAKE_POSTGRES_DSN", "LAKE_TOKEN_KEY"})


class DraftError(LakeError):
    """A draft that cannot be compiled, or that may not run; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A model with its compiled SQL, the table that it would build, and the assets whose staging tables it reads."""

    name: str
    schema: str
    table: str
    sql: str
    grain: tuple[str, ...]
    assets: tuple[Asset, ...]


def compile_draft(settings: Settings, name: str, assets: Sequence[Asset]) -> Draft:
    """Compile a model of the working tree and judge it. Raises DraftError; needs no server."""
    if not _NAME.fullmatch(name):
        raise DraftError(f"'{name}' is no name of a model: give one name, without operators of dbt's selection.")
    manifest, output = _compile(settings, name)
    models = {
        node["name"]: unique_id for unique_id, node in manifest["nodes"].items() if node["resource_type"] == "model"
    }
    if name not in models:
        near = closest(name, models)
        hint = f"did you mean '{near}'?" if near else f"the models are: {', '.join(sorted(models)) or 'none yet'}."
        raise DraftError(f"the dbt project has no model '{name}': {hint}")
    unique_id = models[name]
    node = manifest["nodes"][unique_id]
    _refuse(manifest, unique_id, assets)
    sql = node.get("compiled_code")
    if not sql:
        raise DraftError(f"dbt could not compile the model {name}: {output or 'it gave no reason.'}")
    return Draft(
        name, node["schema"], node["alias"], sql, grain_of(manifest, unique_id), judge_draft(name, sql, assets)
    )


def judge_draft(name: str, sql: str, assets: Iterable[Asset]) -> tuple[Asset, ...]:
    """Return the assets whose staging tables this compiled SQL reads. Raises DraftError unless it may run.

    No part of the SQL is trusted, generated models neither: their files are in the working tree, too.
    """
    staging = {(asset.staging_schema, asset.name): asset for asset in assets}
    if (problem := problem_of_model(sql, staging, ())) is not None:
        raise DraftError(f"the model {name} {problem}.")
    tables = parse_select(sql).tables
    for table in tables:
        if table.catalog not in _DATABASES:
            raise DraftError(f"the model {name} reads {table} in line {table.line} of its compiled SQL: use ref().")
    read = {(table.schema, table.name) for table in tables}
    return tuple(asset for key, asset in staging.items() if key in read)


def _refuse(manifest: Manifest, unique_id: str, assets: Sequence[Asset]) -> None:
    """Raise DraftError if the model, or an ephemeral one in its SQL, is left out of builds."""
    refused = refused_models(manifest, assets)
    pending = [unique_id]
    while pending:
        current = pending.pop()
        if current in refused:
            raise DraftError(refused[current].removesuffix(" It is left out."))
        node: Mapping[str, Any] | None = manifest["nodes"].get(current)
        if node and (current == unique_id or node["config"]["materialized"] == "ephemeral"):
            pending += node["depends_on"]["nodes"]


def _compile(settings: Settings, name: str) -> tuple[Manifest, str]:
    """Return dbt's manifest with this model compiled, as far as dbt could, and dbt's output in one line."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        parsed = manifest_path(settings).with_name(PARTIAL_PARSE)
        if parsed.exists():
            shutil.copyfile(parsed, work / PARTIAL_PARSE)
        options = ["--quiet", "--no-use-colors", "--no-populate-cache", "--log-level-file", "none"]
        # A query of a macro would run with the rights of the lake.
        done = subprocess.run(
            [dbt_executable(), *options, "compile", "--no-introspect", "--full-refresh", "--select", name],
            env=compile_environment(settings, work),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        output = " ".join(done.stdout.split())
        written = work / "manifest.json"
        if not written.exists():
            raise DraftError(f"the dbt project in {settings.dbt_project} cannot be compiled: {output}")
        return json.loads(written.read_bytes()), output if done.returncode else ""


def compile_environment(settings: Settings, work: Path) -> dict[str, str]:
    """Return the variables of dbt for a draft: `env_var` in its text reads none that may have a secret."""
    given = project_environment(settings, settings.dbt_project, work)
    kept = {name for name in given if name in _NEEDED or name.startswith(("LAKE_", "DBT_"))}
    return {name: given[name] for name in kept - _SECRET}
