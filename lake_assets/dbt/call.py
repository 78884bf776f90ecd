"""One dbt call in this process with this lake's settings: the fallback of `lake-dbt`, and the server's children."""

import os
import sys
from contextlib import nullcontext

from lake_assets.dbt.compiled_models import judge_compiled_models
from lake_assets.dbt.environment import OWN_SCHEMA, dbt_environment, dbt_state
from lake_assets.dbt.manifest import load_manifest
from lake_assets.errors import LakeError, Unavailable
from lake_assets.local_files import file_lock
from lake_assets.settings import load_settings
from lake_assets.spill import spill_folder, spill_root
from lake_assets.warehouse.local.mart_blockers import end_blockers

# dbt's commands that build shared marts.
BUILDS = frozenset({"build", "run", "seed", "snapshot"})


def call_dbt(args: list[str]) -> int:
    """Run dbt with the lake's variables in the environment; return dbt's exit code (2: invalid settings)."""
    try:
        settings = load_settings()
        environment = dbt_environment(settings, os.environ)
        if environment.get(OWN_SCHEMA):
            load_manifest(settings)  # models not built in the caller's schema are read from the shared marts
    except LakeError as error:
        print(f"lake-dbt: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    os.environ.clear()
    os.environ.update(environment)
    from dbt.cli.main import cli

    if environment["LAKE_DBT_TARGET"] == "local":
        judge_compiled_models()
    # A run killed with -9 leaves its call behind, which continues: it and the next run's call would drop each other's
    # tables, and the older one could publish last.
    exclusive = not environment.get(OWN_SCHEMA) and not BUILDS.isdisjoint(args)
    try:
        with (
            file_lock(dbt_state(settings) / "call.lock") if exclusive else nullcontext(),
            end_blockers(settings) if exclusive and settings.target == "local" else nullcontext(),
            spill_folder(spill_root(settings.home)) as spill,
        ):
            os.environ["LAKE_DUCKDB_SPILL"] = str(spill)
            cli.main(args=args, prog_name="lake-dbt")
    except Unavailable as error:
        print(f"lake-dbt: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    return 0


if __name__ == "__main__":
    sys.exit(call_dbt(sys.argv[1:]))
