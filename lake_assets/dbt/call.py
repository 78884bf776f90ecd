"""One dbt call in this process, told about this lake: what `lake-dbt` does when no server answers, and the server's
children do for it."""

import os
import sys
from contextlib import nullcontext

from lake_assets.dbt.environment import OWN_SCHEMA, dbt_environment, dbt_state
from lake_assets.dbt.manifest import load_manifest
from lake_assets.errors import LakeError
from lake_assets.local_files import file_lock
from lake_assets.settings import load_settings

# dbt's commands that make shared marts.
BUILDS = frozenset({"build", "run", "seed", "snapshot"})


def call_dbt(args: list[str]) -> int:
    """Runs dbt with the lake's variables added to the environment; the exit code is dbt's (2: settings are wrong)."""
    try:
        settings = load_settings()
        environment = dbt_environment(settings, os.environ)
        if environment.get(OWN_SCHEMA):
            load_manifest(settings)  # what is not built in the caller's own schema is taken from the shared marts
    except LakeError as error:
        print(f"lake-dbt: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    os.environ.update(environment)
    from dbt.cli.main import cli

    # A run that was killed -9 leaves its call behind, which goes on: it and the next run's would take each other's
    # tables away, and the older one could be the last to publish.
    alone = not environment.get(OWN_SCHEMA) and not BUILDS.isdisjoint(args)
    with file_lock(dbt_state(settings) / "call.lock") if alone else nullcontext():
        try:
            cli.main(args=args, prog_name="lake-dbt")
        except SystemExit as exit_:
            return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    return 0


if __name__ == "__main__":
    sys.exit(call_dbt(sys.argv[1:]))
