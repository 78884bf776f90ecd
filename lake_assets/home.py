"""Paths of the stack's files inside one lake's home folder."""

import hashlib
import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lake_assets.errors import LakeError

SOCKET_PATH_LIMIT = 100  # AF_UNIX allows 107 bytes on Linux and 103 on macOS; supervisor adds a suffix while it binds
PLAIN_PATH = re.compile(r"[\w/.+@~ -]+")


class HomeError(LakeError):
    """The home folder cannot be used."""


@dataclass(frozen=True, slots=True)
class Home:
    """The folders and files under `home`; none is created before `create` is called."""

    home: Path

    @property
    def stack_file(self) -> Path:
        return self.home / "stack.json"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Generated configuration, pid file and sockets: everything here is recreated by the next start."""
        return self.home / "run"

    @property
    def secrets(self) -> Path:
        return self.home / "secrets"

    @property
    def passfile(self) -> Path:
        return self.secrets / "pgpass"

    @property
    def connect_secrets(self) -> Path:
        """The folder of all secrets that Kafka Connect's worker may read for its connectors."""
        return self.secrets / "connect"

    @property
    def rest_password(self) -> Path:
        """The password of Kafka Connect's REST API. Outside the folder above, so that no connector can show it."""
        return self.secrets / "connect_password"

    @property
    def dagster_key(self) -> Path:
        """The key of the login to Dagster's web UI, which may launch runs."""
        return self.secrets / "dagster_key"

    @property
    def dashboard_key(self) -> Path:
        """The key of the login to the dashboard, another one: who may look at boards may not launch runs."""
        return self.secrets / "dashboard_key"

    def login_page(self, page: str) -> Path:
        """Return the file that leads a browser to a page with its key, which no command line may have."""
        return self.run / f"open-{page}.html"

    @property
    def kafka_password(self) -> Path:
        """The password with which the lake logs in to its broker."""
        return self.secrets / "kafka_password"

    @property
    def kafka_users(self) -> Path:
        """The embedded broker's users with their passwords, which only the broker reads."""
        return self.secrets / "kafka_users.properties"

    def kafka_clients(self, user: str) -> Path:
        """Return the folder of files with which other programs log in to the embedded broker as this user."""
        return self.secrets / user

    @property
    def postgres(self) -> Path:
        return self.home / "postgres"

    @property
    def kafka(self) -> Path:
        return self.home / "kafka"

    @property
    def dagster(self) -> Path:
        return self.home / "dagster"

    @property
    def supervisor_config(self) -> Path:
        return self.run / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        return self.run / "supervisord.pid"

    @property
    def started(self) -> Path:
        """A file touched by each `lake up`: older log lines are history."""
        return self.run / "started"

    def metric_status(self, table: str, instance: str) -> Path:
        """Return the status file of an instance of the metric with this table."""
        return self.run / "stream" / f"{table}-{instance}.json"

    def host_status(self, number: int) -> Path:
        """Return the status file of a process that hosts metrics; no table's name has a dot."""
        return self.run / "stream" / f"host.{number}.json"

    def log(self, part: str) -> Path:
        return self.logs / f"{part}.log"

    def create(self) -> None:
        """Create the folders; raises HomeError when the home's path has characters that a part does not support."""
        if not PLAIN_PATH.fullmatch(str(self.home)):
            raise HomeError(
                f"LAKE_HOME is '{self.home}': use a path of letters, digits, spaces and _ - . + @ ~ only, "
                "because Kafka and Postgres read it from their configuration files."
            )
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.logs, self.dagster):
            folder.mkdir(mode=0o700, exist_ok=True)
        for folder in (self.run, self.secrets, self.connect_secrets):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)


def socket_path(home: Path, name: str) -> Path:
    """Return the path of a lake's unix socket, for example `dbt.sock`; its folder exists afterwards.

    It is `home/run/NAME`. If that is longer than the operating system allows, it is in a folder of this user and this
    home under the temporary folder.
    """
    path = home / "run" / name
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
    folder = _short_folder(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    info = folder.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or stat.S_IMODE(info.st_mode) != 0o700:
        raise HomeError(f"'{folder}' should be a private folder of yours for this lake's sockets: remove it.")
    return folder / name


def remove_sockets(home: Path) -> None:
    """Delete the folder that `socket_path` created outside the home; for a lake without running processes."""
    shutil.rmtree(_short_folder(home), ignore_errors=True)


def _short_folder(home: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"lake-{os.getuid()}-{digest}"
