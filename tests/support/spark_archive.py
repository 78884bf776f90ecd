"""An archive of the classes that Spark loads when it starts (class data sharing of the JVM), for the tests.

A job of the tests takes 10 s of processor time with it, and 18 s without; making it takes 45 s, once.
`make test` calls `python -m tests.support.spark_archive`.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from lake_assets.stack.jars import jars_folder
from lake_assets.stack.java import find_java, java_version

# What jobs of this project do: read and write Parquet, shuffle, and call Python.
JOB = """\
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
numbers = spark.range(10).selectExpr("id", "cast(id as string) as text").groupBy("text").count()
numbers.write.parquet(sys.argv[1])
assert spark.read.parquet(sys.argv[1]).rdd.map(lambda row: row[0]).count() == 10
spark.stop()
"""
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}


FOLDER = jars_folder() / "spark"


def make() -> None:
    """Make the archive of this Spark and this Java unless it is there.

    A JVM that is given half of one crashes, so it appears in one step. Spark starts without one too, so nothing here is
    a reason to fail.
    """
    java = hashlib.sha256(java_version(find_java()).encode()).hexdigest()[:12]
    to = FOLDER / f"{version('pyspark')}-{java}.jsa"
    if to.exists():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        job, made = Path(folder) / "job.py", Path(folder) / "spark.jsa"
        job.write_text(JOB, "utf-8")
        command = [
            str(Path(sys.executable).with_name("spark-submit")), "--master", "local[2]",
            *(part for key, value in SETTINGS.items() for part in ("--conf", f"{key}={value}")),
            str(job), f"file://{folder}/numbers",
        ]  # fmt: skip
        options = f"-XX:ArchiveClassesAtExit={made} -XX:TieredStopAtLevel=1"
        environment = {
            **os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_SUBMIT_OPTS": options,
        }  # fmt: skip
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not made.exists():
            print(f"Spark starts as before: {done.stderr[-1000:]}")
            return
        for other in FOLDER.glob("*.jsa"):
            other.unlink()
        made.replace(to)


def use() -> None:
    """Let each Spark that is started from now on take its classes from the archive, if there is one.

    A JVM leaves the archive of another Java or of another class path alone.
    """
    for archive in FOLDER.glob(f"{version('pyspark')}-*.jsa"):
        os.environ.setdefault("SPARK_SUBMIT_OPTS", f"-XX:SharedArchiveFile={archive}")


if __name__ == "__main__":
    make()
