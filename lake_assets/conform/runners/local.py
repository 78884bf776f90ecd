"""Spark on this machine: `spark-submit` as a process of its own, which ends with its job or when it is cancelled."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from lake_assets.conform.package import MAIN, job_zip
from lake_assets.conform.runner import JobStatus, SparkJob
from lake_assets.settings import PROJECT

# Spark's own servers listen on this machine only, and its web page is off: Dagster shows the job.
_SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.showConsoleProgress": "false",
}


@dataclass(frozen=True, slots=True)
class Local:
    """Runner of jobs. `home` has a folder for each (log, process id, exit code); `memory` is the JVM's heap, as 2g."""

    home: Path
    spark: Path
    memory: str = "2g"
    main: Path = PROJECT / "spark" / MAIN
    interval: float = 0.5

    def find(self, name: str) -> JobStatus | None:
        folder = self._folder(name)
        logs = str(folder / "log")
        if (process := _read(folder)) is None:
            return None
        if _runs(process):
            return JobStatus("running", logs=logs)
        if (folder / "cancelled").exists():
            return JobStatus("cancelled", logs=logs)
        try:
            code = int((folder / "exit").read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return JobStatus("failed", "it was killed", logs)
        return JobStatus("succeeded", logs=logs) if code == 0 else JobStatus("failed", f"exit code {code}", logs)

    def submit(self, job: SparkJob) -> None:
        if self.find(job.name) is not None:
            return
        folder = self._folder(job.name)
        (folder / "scratch").mkdir(parents=True, exist_ok=True)
        package = job_zip(self.spark, self.home)
        settings = {**_SETTINGS, "spark.driver.memory": self.memory, "spark.local.dir": str(folder / "scratch")}
        command = [
            str(Path(sys.executable).with_name("spark-submit")), "--master", "local[*]", "--name", job.name,
            "--py-files", str(package),
            *(part for key, value in settings.items() for part in ("--conf", f"{key}={value}")),
            str(self.main), *job.arguments,
        ]  # fmt: skip
        # The exit code outlives the waiting process, so that a retry of the step finds it.
        script = f"{shlex.join(command)}; code=$?; echo $code > exit.part; mv exit.part exit; rm -rf scratch"
        environment = {
            **os.environ,
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_DRIVER_PYTHON": sys.executable,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(folder / "scratch"),
        }
        environment.pop("PYTHONPATH", None)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                ["/bin/sh", "-c", script, job.name],
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip
        (folder / "pid").write_text(f"{process.pid} {psutil.Process(process.pid).create_time()}", "utf-8")

    def cancel(self, name: str) -> None:
        status = self.find(name)
        if status is None or status.state != "running":
            return
        folder = self._folder(name)
        (folder / "cancelled").touch()
        pid, _ = _read(folder) or (0, 0.0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        # All of the session, listed after the kill: a fork that had begun is in no earlier list. A JVM takes a while to
        # free its memory, and its parent shell has ended long before.
        psutil.wait_procs(_session(pid), timeout=10)
        shutil.rmtree(folder / "scratch", ignore_errors=True)

    def _folder(self, name: str) -> Path:
        return self.home / name


def _read(folder: Path) -> tuple[int, float] | None:
    """Return id and creation time of the job's process; None when none was started."""
    try:
        pid, created = (folder / "pid").read_text("utf-8").split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid), float(created)


def _session(pid: int) -> list[psutil.Process]:
    """Return the processes of the session that this process leads."""
    members: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) == pid:
                members.append(process)
    return members


def _runs(started: tuple[int, float]) -> bool:
    """Return True if that process is still the job's: process ids are used again."""
    pid, created = started
    try:
        process = psutil.Process(pid)
        return process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
