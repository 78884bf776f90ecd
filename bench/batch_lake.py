"""A lake of a bench's own: Kafka, Connect and Postgres in a temporary folder, with the bench's contracts applied."""

import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lake_assets.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent


@contextmanager
def batch_lake(contracts: Mapping[str, str]) -> "Generator[Settings]":
    """The settings of a running lake with these contracts, by name; it is ended and removed afterwards.

    A contract can be changed in `settings.catalog / "assets" / "<name>.yaml"`.
    """
    home = Path(tempfile.mkdtemp(prefix="lake-bench-"))
    os.environ |= {
        "LAKE_HOME": str(home / "lake"),
        "LAKE_CATALOG": str(home / "catalog"),
        "LAKE_DBT_PROJECT": str(home / "dbt_project"),
    }
    shutil.copytree(PROJECT / "dbt_project", home / "dbt_project", ignore=shutil.ignore_patterns("target", "logs"))
    (home / "catalog" / "assets").mkdir(parents=True)
    for name, contract in contracts.items():
        (home / "catalog" / "assets" / f"{name}.yaml").write_text(contract, "utf-8")

    from lake_assets.orchestration.apply import apply
    from lake_assets.settings import load_settings
    from lake_assets.stack.lifecycle import down, up

    try:
        up(quiet, ["kafka", "connect", "postgres"])
        apply(load_settings(), quiet)
        yield load_settings()
    finally:
        down()
        shutil.rmtree(home)


def quiet(_: str) -> None:
    """Takes progress, and says nothing."""
