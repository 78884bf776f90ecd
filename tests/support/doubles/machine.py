"""Processes of this machine that run what a cluster was asked to run.

It does not prove that YARN or a serverless service reads the settings as they are meant, nor anything of sizes.
"""

import os
import shlex
import signal
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lake_assets.bucket import is_local, local_path, read

# Of a cluster's Spark settings these mean nothing to Spark on one machine.
_CLUSTER_ONLY = ("spark.yarn.", "spark.emr-serverless.", "spark.dataproc.", "spark.submit.", "spark.archives")
_OF_THE_MACHINE = ("PATH", "HOME", "JAVA_HOME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_LOCAL = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "1g",
}


@dataclass(frozen=True)
class Submission:
    """Contents of a submission, which each service receives in its own form."""

    main: str
    arguments: Sequence[str]
    package: str
    archive: str
    settings: Mapping[str, str]


@dataclass
class Launched:
    process: subprocess.Popen[bytes]
    log: Path
    killed: bool = False

    @property
    def code(self) -> int | None:
        return self.process.poll()

    def kill(self) -> None:
        """The job and all it started."""
        if self.code is None:
            self.killed = True
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    @property
    def last_line(self) -> str:
        """The log's last line."""
        lines = self.log.read_text("utf-8").splitlines()
        return lines[-1] if lines else ""


@dataclass
class Machine:
    """`launched` are all processes in order, by the service's own id of the job.

    A job starts without this process's environment, except for the credentials that its role stands for in a cloud.
    """

    folder: Path
    launched: dict[str, Launched] = field(default_factory=dict[str, Launched])

    def launch(self, job_id: str, submission: Submission, driver: str) -> Launched:
        """`driver` begins the keys of the driver's variables; a relative Python is inside the archive."""
        own, executors = (_variables(submission.settings, prefix) for prefix in (driver, "spark.executorEnv."))
        python = own["PYSPARK_PYTHON"]
        assert own.pop("PYSPARK_DRIVER_PYTHON", python) == python
        assert own == executors
        folder = self.folder / job_id
        folder.mkdir(parents=True)
        archive, _, unpacked = submission.archive.partition("#")
        with tarfile.open(_fetched(archive, folder)) as tar:
            tar.extractall(folder / unpacked, filter="data")
        assert (folder / python).exists(), f"the archive has no {python}"
        main, package = (_fetched(url, folder) for url in (submission.main, submission.package))
        environment = {
            **{name: os.environ[name] for name in _OF_THE_MACHINE if name in os.environ},
            **own,
            "PYSPARK_DRIVER_PYTHON": python,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if "SparkSession" in main.read_text("utf-8"):
            command = _spark_submit(submission, main, str(package))
        else:
            command = [python, str(main), *submission.arguments]
            environment["PYTHONPATH"] = str(package)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {shlex.join(command)}"],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip
        self.launched[job_id] = Launched(process, folder / "log")
        return self.launched[job_id]

    def close(self) -> None:
        for launched in self.launched.values():
            launched.kill()


def _variables(settings: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): text for key, text in settings.items() if key.startswith(prefix)}


def _fetched(url: str, folder: Path) -> Path:
    """The service itself copies these from the bucket."""
    if is_local(url):
        return Path(local_path(url))
    path = folder / url.rpartition("/")[2]
    content = read(url)
    assert content is not None, f"there is no {url}"
    path.write_bytes(content)
    return path


def _spark_submit(submission: Submission, main: Path, package: str) -> list[str]:
    settings = {k: v for k, v in submission.settings.items() if not k.startswith(_CLUSTER_ONLY)} | _LOCAL
    return [
        str(Path(sys.executable).with_name("spark-submit")), "--master", "local[2]", "--py-files", package,
        *(part for key, value in settings.items() for part in ("--conf", f"{key}={value}")),
        str(main), *submission.arguments,
    ]  # fmt: skip


def parsed(command: Sequence[str]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """A spark-submit command line: its options, its settings, and the rest (main file and arguments)."""
    options, settings = dict[str, str](), dict[str, str]()
    rest = list(command)
    while rest and rest[0].startswith("--"):
        key, value = rest[0], rest[1]
        rest = rest[2:]
        if key == "--conf":
            name, _, text = value.partition("=")
            settings[name] = text
        else:
            options[key] = value
    return options, settings, rest
