"""Archives of `make spark-dist` are all that a cluster needs: nothing of this project is installed there."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from dagster_pipes import encode_param

from lake_assets.catalog.json_codec import from_json, to_json
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.request import Answer, Request
from lake_assets.settings import PROJECT
from lake_assets.stack.setup import find_uv
from lake_assets.stack.spark_dist import environment, spark_dist
from tests.support.conform_records import ORDERS, Record, write_raw

pytestmark = pytest.mark.server
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PLATFORM = {
    ("Linux", "x86_64"): "x86_64-manylinux_2_28",
    ("Linux", "aarch64"): "aarch64-manylinux_2_28",
    ("Darwin", "arm64"): "aarch64-apple-darwin",
    ("Darwin", "x86_64"): "x86_64-apple-darwin",
}[platform.system(), platform.machine()]
UNSET = (
    "asset_keys", "code_version_by_asset_key", "provenance_by_asset_key", "partition_key", "partition_key_range",
    "partition_time_window",
)  # fmt: skip


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    spark_dist(folder, PROJECT / "spark", PLATFORM, [PYTHON])
    return folder


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a Spark in a virtual environment that has PySpark and nothing else."""
    folder = tmp_path_factory.mktemp("cluster")
    uv = find_uv(PROJECT / ".tools")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # Those of uv.lock, which are installed here: the index has no wheel of PySpark, and to build one takes a minute.
    for package in ("pyspark", "py4j"):
        shutil.copytree(Path(str(find_spec(package).origin)).parent, packages / package)
    found = subprocess.run(
        [str(python), "-c", "import pyspark; print(pyspark.__path__[0])"], check=True, capture_output=True, text=True
    )
    return Path(found.stdout.strip())


def test_the_job_runs_where_only_spark_is_installed(dist: Path, cluster: Path, tmp_path: Path) -> None:
    """One executor of its own process and folder, as a cluster has: it finds its packages in the archive."""
    (archive,) = dist.glob("*.tar.gz")
    (package,) = dist.glob("*.zip")
    payloads = [b'{"order_id":"a","ordered_at":"2026-01-01T12:00:00Z"}', b"{broken", b'{"order_id":"b"}']
    write_raw(tmp_path / "raw.parquet", [Record(payload) for payload in payloads])
    window = WindowInput("2026-01-01", (str(tmp_path / "raw.parquet"),), 3, 1)
    request = Request(
        ORDERS, (window,), f"file://{tmp_path}/out", f"file://{tmp_path}", "n", "run", "2026-02-01T00:00:00+00:00"
    )
    (tmp_path / "request.json").write_text(to_json(request), "utf-8")
    context = {**dict.fromkeys(UNSET), "run_id": "run", "job_name": "job", "retry_number": 0, "extras": {}}
    # On YARN and EMR Serverless the driver runs on the archive too; here it is unpacked for it.
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "driver", filter="data")
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.pyspark.python": "./environment/bin/python",
        "spark.pyspark.driver.python": str(tmp_path / "driver" / "bin" / "python"),
    }
    command = [
        str(cluster / "bin" / "spark-submit"), "--master", "local-cluster[1,1,1024]", "--py-files", str(package),
        "--archives", f"{archive}#environment",
        *(part for key, value in settings.items() for part in ("--conf", f"{key}={value}")),
        str(dist / "conform.py"), "--request", f"file://{tmp_path}/request.json",
        "--dagster-pipes-context", encode_param({"data": context}),
        "--dagster-pipes-messages", encode_param({"folder": f"file://{tmp_path}/messages"}),
    ]  # fmt: skip
    kept = {name: os.environ[name] for name in ("JAVA_HOME", "JAVA_TOOL_OPTIONS", "HOME", "PATH") if name in os.environ}
    environment = {**kept, "SPARK_HOME": str(cluster), "SPARK_LOCAL_IP": "127.0.0.1"}
    environment["PATH"] = f"{Path(sys.executable).resolve().parent}{os.pathsep}{kept['PATH']}"
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    answer = _answer(tmp_path / "messages")
    (output,) = answer.outputs
    assert (output.good, output.quarantined, answer.failed) == (1, 2, {})


def _answer(messages: Path) -> Answer:
    for path in sorted(messages.glob("*.json")):
        for line in path.read_text("utf-8").splitlines():
            if answered := json.loads(line)["params"].get("payload", {}).get("answer"):
                return from_json(Answer, json.dumps(answered))
    raise AssertionError("the job did not answer")


def test_a_cluster_without_the_archives_python_is_reported(dist: Path, tmp_path: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extract("bin/python", tmp_path, filter="data")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "dirname").symlink_to("/usr/bin/dirname")
    done = subprocess.run(
        [str(tmp_path / "bin" / "python"), "-V"], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 127
    assert f"made for Python {PYTHON}, which this machine lacks" in done.stderr


def test_an_existing_archive_is_not_built_again(dist: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    made = archive.stat().st_mtime_ns
    assert environment(dist, PLATFORM, [PYTHON]) == archive
    assert archive.stat().st_mtime_ns == made
