"""A lake of copies: the example contracts and the dbt project, applied to the session's stack."""

import json
import os
import shutil
import subprocess
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lake_assets.settings import PROJECT, Settings
from tests.conftest import EXAMPLES
from tests.support.warm_processes import LAKE, SECONDS, run_lake


@dataclass(frozen=True)
class Answer:
    """Exit code and output of a `lake` command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out, f"exit code {self.code}: {self.err}"
        return json.loads(self.out)


def _encoded(stdin: str | bytes | None) -> bytes | None:
    return stdin.encode() if isinstance(stdin, str) else stdin


def _start(
    args: Sequence[str], environment: Mapping[str, str], stdin: bytes | None
) -> "subprocess.CompletedProcess[bytes]":
    command = [LAKE, *args]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=SECONDS, env=environment)


@dataclass(frozen=True)
class Lake:
    """A lake as its user sees it: a folder of contracts and a command line.

    Each call of it is a process of its own, whose imports were made before unless it is not `warm`.
    """

    settings: Settings
    folder: Path
    environment: Mapping[str, str]
    warm: bool = True

    def __call__(self, *args: str, stdin: str | bytes | None = None) -> Answer:
        done = (run_lake if self.warm else _start)(args, self.environment, _encoded(stdin))
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *args: str, stdin: str | bytes | None = None) -> Answer:
        """The answer of a command that must succeed."""
        answer = self(*args, stdin=stdin)
        assert answer.code == 0, answer.err + answer.out
        return answer

    @property
    def cold(self) -> "Lake":
        """The same lake whose commands are started as its user starts them, imports and all.

        That takes seconds: `test_own_file.py` starts its commands so, and `test_changes.py` compares the two.
        """
        return replace(self, warm=False)

    def changes(self, command: str = "plan") -> list[dict[str, Any]]:
        """The steps of `lake plan` or `lake apply`, but for those about what other tests have removed the files of."""
        others = {("contract", "keep"), ("mart", "keep")}
        return [step for step in self.ok(command, "--json").json if (step["kind"], step["action"]) not in others]

    def contract(self, asset: str) -> Path:
        return self.folder / "catalog" / "assets" / f"{asset}.yaml"

    def unapply(self, asset: str) -> None:
        """Remove a contract, its file and what is applied of it, so that no run of another test is of it."""
        self.contract(asset).unlink(missing_ok=True)
        with psycopg.connect(self.settings.postgres.conninfo("lake")) as session:
            session.execute("delete from ledger.contract where asset = %s", [asset])

    def staging(self, query: str) -> list[dict[str, Any]]:
        return self.ok("sql", query, "--json").json

    def mart(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query as the analyst."""
        with psycopg.connect(self.settings.postgres.conninfo("analyst")) as session:
            return session.execute(query.encode()).fetchall()

    def audit(self, asset: str) -> Any:
        """The asset's audit, with any result."""
        return self("audit", asset, "--json").json[0]


_LAKES: list[Lake] = []


@pytest.fixture(scope="module", autouse=True)
def _remove_contracts() -> Generator[None]:
    """Begin a test file with the examples applied, which tests of other folders may have ended. Remove the contracts
    that it has left: nothing of them is applied after it."""
    for made in _LAKES:
        with psycopg.connect(made.settings.postgres.conninfo("lake")) as session:
            found = session.execute("select asset from ledger.contract where asset = any(%s)", [EXAMPLES]).fetchall()
        if len(found) < len(list((PROJECT / "lake_assets" / "catalog" / "assets").glob("*.yaml"))):
            made.ok("apply")
    yield
    for made in _LAKES:
        for path in (made.folder / "catalog" / "assets").glob("*.yaml"):
            if path.stem not in EXAMPLES:
                path.unlink()


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
    _LAKES.append(made)
    return made
