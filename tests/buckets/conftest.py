"""One lake for each kind of bucket, all on the session's servers: a database, domains and a home of its own each."""

import os
import re
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from lake_assets.dbt.client import ADDRESS
from lake_assets.home import Home, socket_path
from lake_assets.settings import PROJECT, Settings
from tests.end_to_end.conftest import Lake
from tests.support.buckets import DOUBLES, Bucket
from tests.support.connect_api import remove_connectors
from tests.support.second_lake import make_beside


@pytest.fixture(scope="module")
def lake_on(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Generator[Callable[[str], Lake]]:
    """Return the lake on the bucket of a scheme, applied once."""
    made: dict[str, Lake] = {}
    with ExitStack() as running:

        def lake_on(scheme: str) -> Lake:
            if scheme not in made:
                folder = tmp_path_factory.mktemp(scheme)
                bucket = running.enter_context(DOUBLES[scheme](folder / "double"))
                made[scheme] = make_lake(stack, folder, scheme, bucket)
                made[scheme].ok("apply")
            return made[scheme]

        yield lake_on
        remove_connectors(stack, *(f"raw-shop{scheme}" for scheme in made))


@contextmanager
def applied_lake(stack: Settings, folder: Path, scheme: str, bucket: Bucket) -> Generator[Lake]:
    """A lake beside the session's, until its connectors are ended."""
    made = make_lake(stack, folder, scheme, bucket)
    made.ok("apply")
    try:
        yield made
    finally:
        remove_connectors(stack, f"raw-shop{scheme}")


def make_lake(stack: Settings, folder: Path, scheme: str, bucket: Bucket, assets: Sequence[str] = ("sales",)) -> Lake:
    """A lake beside the session's, not applied yet, with these of the example's assets."""
    # The worker reads its password from nowhere but this folder.
    home = Home(stack.home).connect_secrets / scheme
    settings = make_beside(stack, home, f"lake_{scheme}", bucket.url)
    # The session's dbt is this lake's too: a call brings its own environment.
    (home / ADDRESS).write_text(str(socket_path(stack.home, Path(ADDRESS).name)), "utf-8")
    copy_contracts(folder / "catalog", scheme, assets)
    shutil.copytree(PROJECT / "dbt_project", folder / "dbt", ignore=shutil.ignore_patterns("target", "logs"))
    remove_live_charts(folder / "dbt" / "models" / "marts" / "sales_data_mart" / "sales.yml")
    environment: Mapping[str, str] = {
        **os.environ,
        **bucket.environment,
        "LAKE_HOME": str(settings.home),
        "LAKE_BUCKET": settings.bucket,
        "LAKE_CATALOG": str(folder / "catalog"),
        "LAKE_DBT_PROJECT": str(folder / "dbt"),
    }
    return Lake(settings, folder, environment)


def remove_live_charts(properties: Path) -> None:
    """Take the charts of metrics, which these lakes do not have, from a mart's exposures."""
    content = yaml.safe_load(properties.read_text("utf-8"))
    for exposure in content["exposures"]:
        del exposure["config"]
    properties.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")


def copy_contracts(catalog: Path, scheme: str, assets: Sequence[str]) -> None:
    """The contracts of these assets in domains of their own, whose topics and connectors no other lake has."""
    (catalog / "assets").mkdir(parents=True)
    for asset in assets:
        text = (PROJECT / "lake_assets" / "catalog" / "assets" / f"{asset}.yaml").read_text("utf-8")
        text = re.sub(r"^(id|domain): *(\w+)", rf"\1: \2{scheme}", text, flags=re.MULTILINE)
        (catalog / "assets" / f"{asset}.yaml").write_text(text, "utf-8")
