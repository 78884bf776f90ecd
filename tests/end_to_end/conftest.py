"""A lake of copies: the example contracts and the dbt project, applied to the session's stack."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lake_assets.settings import PROJECT, Settings


@dataclass(frozen=True)
class Answer:
    """What a `lake` command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Lake:
    """A lake as its user sees it: a folder of contracts and a command line."""

    settings: Settings
    folder: Path
    environment: Mapping[str, str]

    def __call__(self, *args: str, stdin: str | bytes | None = None) -> Answer:
        given = stdin.encode() if isinstance(stdin, str) else stdin
        command = [str(Path(sys.executable).parent / "lake"), *args]
        done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=300, env=self.environment)
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *args: str, stdin: str | bytes | None = None) -> Answer:
        """The answer of a command that must succeed."""
        answer = self(*args, stdin=stdin)
        assert answer.code == 0, answer.err + answer.out
        return answer

    def contract(self, asset: str) -> Path:
        return self.folder / "catalog" / "assets" / f"{asset}.yaml"

    def staging(self, query: str) -> list[dict[str, Any]]:
        return self.ok("sql", query, "--json").json

    def mart(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query as the analyst."""
        with psycopg.connect(self.settings.postgres.conninfo("analyst")) as session:
            return session.execute(query.encode()).fetchall()

    def audit(self, asset: str) -> Any:
        """The asset's audit, whatever it says."""
        return self("audit", asset, "--json").json[0]


@pytest.fixture(scope="session")
def lake(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The session's lake, applied. Its contracts and its dbt project are copies, which tests may change."""
    folder = tmp_path_factory.mktemp("lake")
    shutil.copytree(PROJECT / "lake_assets" / "catalog", folder / "catalog", ignore=shutil.ignore_patterns("*.py"))
    shutil.copytree(PROJECT / "dbt_project", folder / "dbt", ignore=shutil.ignore_patterns("target", "logs"))
    # For the commands only: other folders' tests read the project's own contracts.
    environment = {
        **os.environ,
        "LAKE_HOME": str(stack.home),
        "LAKE_CATALOG": str(folder / "catalog"),
        "LAKE_DBT_PROJECT": str(folder / "dbt"),
    }
    made = Lake(stack, folder, environment)
    made.ok("apply")
    return made
