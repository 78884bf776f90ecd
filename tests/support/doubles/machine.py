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

from lake_assets.bucket import local_path

# Of a cluster's Spark settings these mean nothing to Spark on one machine.
_CLUSTER_ONLY = ("spark.yarn.", "spark.emr-serverless.", "spark.dataproc.", "spark.submit.", "spark.archives")
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
    """`launched` are all processes in order, by the service's own id of the job."""

    folder: Path
    launched: dict[str, Launched] = field(default_factory=dict[str, Launched])

    def launch(self, job_id: str, submission: Submission, python: str) -> Launched:
        """`python` is what the service's settings make the driver's; a relative one is inside the archive."""
        folder = self.folder / job_id
        folder.mkdir(parents=True)
        archive, _, unpacked = submission.archive.partition("#")
        with tarfile.open(local_path(archive)) as tar:
            tar.extractall(folder / unpacked, filter="data")
        assert submission.settings["spark.executorEnv.PYSPARK_PYTHON"] == python
        assert (folder / python).exists(), f"the archive has no {python}"
        main = Path(local_path(submission.main))
        package = local_path(submission.package)
        environment = {
            **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            "PYSPARK_PYTHON": python,
            "PYSPARK_DRIVER_PYTHON": python,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if "SparkSession" in main.read_text("utf-8"):
            command = _spark_submit(submission, main, package)
        else:
            command = [python, str(main), *submission.arguments]
            environment["PYTHONPATH"] = package
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
