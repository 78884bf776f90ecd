"""A lake with Postgres, dbt and the dashboard, its marts built, its metric filled; and the Chromium that shows it."""

import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Browser, Page

from lake_assets.compile.metric_tables import metric_statements
from lake_assets.dbt.manifest import load_manifest
from lake_assets.home import Home
from lake_assets.project import read_files
from lake_assets.settings import PROJECT, Settings, load_settings
from lake_assets.stack.lifecycle import up
from lake_assets.warehouse.local.postgres_marts import PostgresMarts
from lake_assets.warehouse.marts import mart_schemas, outdated_dbt_files, write_dbt_files
from lake_assets.web_key import read_key, with_key
from tests.support.chromium import open_chromium
from tests.support.mart_rows import call_dbt, fill_staging
from tests.support.server_marker import starts_server
from tests.support.stack_removal import end_stack

HERE = Path(__file__).parent
REPORTS = PROJECT / ".reports"


@pytest.hookimpl(tryfirst=True)  # before `-m` is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
@starts_server
def lake() -> Generator[Settings]:
    """The settings of the lake; `LAKE_HOME` and `LAKE_DBT_PROJECT` name it for the session."""
    home = Path(tempfile.mkdtemp(prefix="lake-"))
    home.chmod(0o755)
    project = Path(shutil.copytree(PROJECT / "dbt_project", home / "dbt_project"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAKE_HOME", str(home))
        patch.setenv("LAKE_DBT_PROJECT", str(project))
        try:
            up(parts=("postgres", "dbt", "dashboard"))
            settings = load_settings()
            _build(settings)
            yield settings
        finally:
            end_stack(home)
            shutil.rmtree(home, ignore_errors=True)


def _build(settings: Settings) -> None:
    catalog = read_files(settings)
    write_dbt_files(outdated_dbt_files(settings, catalog.assets.values()))
    PostgresMarts(settings).ensure(mart_schemas(settings))
    fill_staging(settings, catalog.assets.values())
    with psycopg.connect(settings.postgres.conninfo("lake"), autocommit=True) as session:
        for metric in catalog.metrics.values():
            for statement in metric_statements(metric):
                session.execute(statement.encode())
    load_manifest(settings)
    built = call_dbt(settings, "--quiet", "run")
    assert built.returncode == 0, built.stdout


@pytest.fixture(scope="session")
def chromium() -> Generator[Browser]:
    with open_chromium() as browser:
        yield browser


Open = Callable[..., Page]


@pytest.fixture
def open_board(lake: Settings, chromium: Browser) -> Generator[Open]:
    """Return a function that opens a board in a browser of its own, and returns when its charts are drawn."""
    contexts = []

    def open_board(board: str, width: int = 1280, height: int = 900, **options: str) -> Page:
        options = {"locale": "en-US", "timezone_id": "UTC", "color_scheme": "light", **options}
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]
        contexts.append(context)
        # The context's own request keeps the cookie for its pages.
        context.request.get(with_key(lake.dashboard_address, read_key(Home(lake.home).dashboard_key)), max_redirects=0)
        page = context.new_page()
        page.goto(f"{lake.dashboard_address}/{board}")
        page.get_by_role("heading", level=1).wait_for()
        return page

    yield open_board
    for context in contexts:
        context.close()


@pytest.fixture
def keep_shot() -> Callable[[Page, str], None]:
    """Return a function that keeps a picture of the whole page below .reports."""

    def keep(page: Page, name: str) -> None:
        REPORTS.mkdir(exist_ok=True)
        size = page.viewport_size
        assert size
        # The page scrolls inside a frame of its own.
        height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": height})
        page.screenshot(path=REPORTS / f"dashboard-{name}.png")
        page.set_viewport_size(size)

    return keep


@pytest.fixture(autouse=True)
def _environment(lake: Settings) -> None:
    assert os.environ["LAKE_HOME"] == str(lake.home)
