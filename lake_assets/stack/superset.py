"""Apache Superset with a lake's boards, its database in the lake's Postgres.

It is no part of the stack: it runs while its command does.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from secrets import token_urlsafe

from lake_assets.catalog.board import Board
from lake_assets.compile.superset import MADE_BY, superset_assets
from lake_assets.errors import Unavailable
from lake_assets.local_files import file_lock
from lake_assets.settings import Settings
from lake_assets.stack.addresses import FIRST_PORT, PORT_COUNT, THIS_MACHINE, is_free
from lake_assets.stack.passwords import write_private
from lake_assets.stack.roles import own_database
from lake_assets.stack.superset_packages import FILES, install_packages, run_logged

NAME = "superset"
# Of one process: the charts of a dashboard are asked for at once.
_THREADS = 8
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Superset:
    """A prepared Superset. `password` is the file with that of its administrator, `admin`."""

    folder: Path
    programs: Path
    port: int
    environment: dict[str, str]

    @property
    def address(self) -> str:
        return f"http://{THIS_MACHINE}:{self.port}"

    @property
    def password(self) -> Path:
        return self.folder / "secrets" / "admin"

    @property
    def command(self) -> tuple[str, ...]:
        """Return the web server's command, which has no secret in it."""
        gunicorn = str(self.programs / "gunicorn")
        bind = f"{THIS_MACHINE}:{self.port}"
        return (gunicorn, "--bind", bind, "--threads", str(_THREADS), "--timeout", "60", "superset.app:create_app()")


def prepare_superset(settings: Settings, boards: Iterable[Board], on_progress: Progress) -> Superset:
    """Install Superset if it is not there, and bring its database, administrator and boards up to date.

    Raises LakeError, and Unavailable if Postgres does not answer.
    """
    programs, folder = install_packages(on_progress), settings.home / NAME
    (folder / "secrets").mkdir(mode=0o700, parents=True, exist_ok=True)
    with file_lock(folder / "lock"):
        for secret in ("secret_key", "admin"):
            if not (folder / "secrets" / secret).exists():
                write_private(folder / "secrets" / secret, token_urlsafe(32))
        superset = Superset(folder, programs, _port(folder), _environment(settings, folder))
        _make_database(settings, folder)
        _write_assets(folder / "assets", boards, settings.postgres.url("analyst", "postgresql+psycopg2"))
        on_progress("importing the boards into Superset")
        run_logged(
            [str(programs / "python"), str(FILES / "prepare.py"), str(folder / "assets")],
            superset.environment,
            folder / "prepare.log",
        )
    return superset


def _environment(settings: Settings, folder: Path) -> dict[str, str]:
    """Return the environment of Superset's processes: the caller's own, and nothing of the lake's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LAKE_", "DBT_", "PG", "PYTHON"))}
    postgres = settings.postgres
    passfile = folder / "secrets" / "pgpass"
    return kept | {
        "SUPERSET_HOME": str(folder),
        "SUPERSET_CONFIG_PATH": str(FILES / "superset_config.py"),
        "SUPERSET_METADATA_URI": (
            f"postgresql+psycopg2://{NAME}@{postgres.host}:{postgres.port}/{NAME}?passfile={passfile}"
        ),
        "SCARF_ANALYTICS": "false",
        # Superset imports its configuration from the project, where it should write nothing.
        "PYTHONPYCACHEPREFIX": str(folder / "pycache"),
    }


def _make_database(settings: Settings, folder: Path) -> None:
    """Create Superset's database, which only its own role can open."""
    import psycopg

    passfile, postgres = folder / "secrets" / "pgpass", settings.postgres
    if not passfile.exists():
        password = token_urlsafe(24)
        write_private(passfile, f"{postgres.host}:{postgres.port}:{NAME}:{NAME}:{password}\n")
    password = passfile.read_text("utf-8").rstrip("\n").rpartition(":")[2]
    try:
        own_database(postgres.conninfo("lake_admin", "postgres"), NAME, password)
    except psycopg.OperationalError as error:
        raise postgres.not_reached(error) from None


def _write_assets(folder: Path, boards: Iterable[Board], uri: str) -> None:
    """Replace the files of the assets. JSON is YAML, which Superset's import reads."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, asset in superset_assets(boards, uri).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asset, indent=1), "utf-8")
    (folder / "made_by").write_text(MADE_BY, "utf-8")


def _port(folder: Path) -> int:
    """Return the port of the last start, or another one if it is taken."""
    file = folder / "port"
    first = int(file.read_text("utf-8")) if file.exists() else FIRST_PORT + os.getpid() % PORT_COUNT
    port = next((port for port in range(first, first + 100) if is_free(port)), None)
    if port is None:
        raise Unavailable(f"no port from {first} to {first + 99} is free for Superset: delete {file}.")
    file.write_text(str(port), "utf-8")
    return port


def serve(superset: Superset) -> None:
    """Become Superset's web server, until a signal ends it."""
    sys.stdout.flush()
    os.execve(superset.command[0], superset.command, superset.environment)  # noqa: S606
