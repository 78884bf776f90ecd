"""Modules that a start may load, and generated pages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lake_assets.cli import COMMANDS
from lake_assets.settings import PROJECT

HEAVY = ("boto3", "botocore", "google.cloud.bigquery", "google.cloud.storage", "pyspark", "dbt.cli.main")


def loaded_after(statement: str) -> set[str]:
    """The modules of HEAVY, and some others, that a fresh interpreter has loaded after a statement."""
    names = (*HEAVY, "dagster", "duckdb", "confluent_kafka", "pandas")
    program = f"{statement}\nimport sys\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_definitions_of_the_local_target_load_no_cloud_sdk_spark_or_dbt() -> None:
    assert loaded_after("import lake_assets.definitions").isdisjoint(HEAVY)


def test_the_help_loads_neither_dagster_nor_duckdb_nor_kafka() -> None:
    statement = (
        "from click.testing import CliRunner\nfrom lake_assets.cli import lake\nCliRunner().invoke(lake, ['--help'])"
    )
    assert loaded_after(statement) == set()


def test_what_reads_raw_tables_loads_no_pandas() -> None:
    statement = "import lake_assets.landing.iceberg_files, pyarrow\npyarrow.table({'a': [1]})"
    assert loaded_after(statement) == set()


def test_a_look_at_what_the_staging_tables_lack_loads_no_pandas() -> None:
    statement = (
        "import duckdb\nfrom lake_assets.project import read_files\nfrom lake_assets.settings import load_settings\n"
        "from lake_assets.warehouse.local.ducklake import _columns, _differences\nsession = duckdb.connect()\n"
        "session.execute(\"attach ':memory:' as lake\")\n"
        "asset = read_files(load_settings()).assets['leads']\n"
        "assert _differences(_columns(session, [asset]), asset)"
    )
    assert "pandas" not in loaded_after(statement)


def test_conform_loads_no_pandas(tmp_path: Path) -> None:
    statement = (
        "from pathlib import Path\nfrom lake_assets.conform.duckdb import conform\n"
        "from lake_assets.project import read_files\nfrom lake_assets.settings import load_settings\n"
        f"folder = Path({str(tmp_path)!r})\nasset = read_files(load_settings()).assets['leads']\n"
        "assert conform(asset, [], str(folder), folder, 'run', 'name') == ()"
    )
    assert "pandas" not in loaded_after(statement)


def test_a_look_at_the_backlog_loads_no_dagster() -> None:
    assert "dagster" not in loaded_after("import lake_assets.cli.status, lake_assets.operations.backlog")


def test_the_page_of_commands_is_the_help_of_the_commands() -> None:
    """The pages are made in a process of their own: click keeps the help option of the first caller in a process."""
    page = (PROJECT / "docs" / "commands.md").read_text("utf-8")
    written = subprocess.run(
        [sys.executable, "-m", "lake_assets.cli.reference"], capture_output=True, text=True, check=True
    ).stdout
    assert page == written, "renew it: python -m lake_assets.cli.reference > docs/commands.md"
    assert all(f"## lake {name}\n" in page for name in COMMANDS)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize(
    "command", [("dagster", "definitions", "validate", "-w", "workspace.yaml"), ("dg", "check", "defs")], ids=" ".join
)
def test_dagsters_own_commands_load_the_project(command: tuple[str, ...], home: Path) -> None:
    """The definitions of `dagster dev -w workspace.yaml` and `dg dev` load without a stack."""
    program = str(Path(sys.executable).parent / command[0])
    environment = {**os.environ, "LAKE_HOME": str(home), "DAGSTER_HOME": str(home)}
    done = subprocess.run(
        [program, *command[1:]], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "successful" in done.stdout + done.stderr
