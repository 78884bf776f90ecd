"""Build the files of Spark jobs for a cluster: the job, its zip, and an archive of its Python packages.

`python -m lake_assets.stack.spark_dist` is `make spark-dist`. Clusters have Spark and Python, but not DuckDB and
PyArrow. The archive has those, built for the cluster's processor and several Pythons, whatever this machine is.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from lake_assets.conform.package import MAIN, job_zip
from lake_assets.errors import LakeError
from lake_assets.settings import PROJECT, load_settings
from lake_assets.stack.setup import find_uv

# PySpark itself needs pandas, and DuckDB needs pytz to return times.
PACKAGES = ("duckdb", "pyarrow", "numpy", "pandas", "pytz")
PLATFORM = "x86_64-manylinux_2_28"
# Those of Dataproc's runtimes for batches from 2.2 to 3.0. The job's own code and the locked numpy need the first.
PYTHONS = ("3.11", "3.12")
OLDEST = (3, 11)
_WRAPPER = """\
#!/bin/sh
# A Python of the cluster's own with this archive's packages for it.
here=$(cd "$(dirname "$0")/.." && pwd)
for python in python3 python {names}; do
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
  if [ -d "$here/lib/$version" ]; then
    PYTHONPATH="$here/lib/$version${{PYTHONPATH:+:$PYTHONPATH}}" exec "$python" "$@"
  fi
done
echo "lake: this archive was made for Python {pythons}, which this machine lacks: install it," \\
  "or rebuild the archive with 'make spark-dist SPARK_PYTHON=...'" >&2
exit 127
"""


class DistError(LakeError):
    """The packages for the cluster could not be installed."""


def spark_dist(folder: Path, spark: Path, platform: str, pythons: Sequence[str]) -> list[Path]:
    """Make main file, zip and archive in `folder` and return their paths. Raises DistError."""
    folder.mkdir(parents=True, exist_ok=True)
    main = folder / MAIN
    shutil.copyfile(PROJECT / "spark" / MAIN, main)
    return [main, job_zip(spark, folder), environment(folder, platform, pythons)]


def environment(folder: Path, platform: str, pythons: Sequence[str]) -> Path:
    """Return the archive of `bin/python` and `lib/<version>/`, built if missing. Its name lists its versions.

    Raises DistError.
    """
    if too_old := [python for python in pythons if tuple(map(int, python.split("."))) < OLDEST]:
        raise DistError(f"the job does not run on Python {too_old[0]}: name {'.'.join(map(str, OLDEST))} or newer.")
    requirements = [f"{name}=={version(name)}" for name in PACKAGES]
    versions = f"duckdb{version('duckdb')}-pyarrow{version('pyarrow')}"
    target = folder / f"lake-environment-python{'-'.join(pythons)}-{platform}-{versions}.tar.gz"
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        library = Path(aside) / "lib"
        for python in pythons:
            command = [
                find_uv(PROJECT / ".tools"), "pip", "install", "--quiet", "--target", str(library / python),
                "--only-binary", ":all:", "--python", sys.executable,
                "--python-version", python, "--python-platform", platform, *requirements,
            ]  # fmt: skip
            if subprocess.run(command, check=False).returncode != 0:
                raise DistError(f"there are no packages for Python {python} on {platform}: see uv's message above.")
            _slim(library / python)
        wrapper = Path(aside) / "bin" / "python"
        wrapper.parent.mkdir()
        write_wrapper(wrapper, pythons)
        packed = Path(aside) / "packed.tar.gz"
        with tarfile.open(packed, "w:gz", compresslevel=1) as archive:
            for part in (library, wrapper.parent):
                archive.add(part, part.name)
        packed.replace(target)
    return target


def write_wrapper(path: Path, pythons: Sequence[str]) -> None:
    """Write the executable that stands for Python in the archive: it selects a Python of the cluster's."""
    names = " ".join(f"python{python}" for python in pythons)
    path.write_text(_WRAPPER.format(names=names, pythons=" or ".join(pythons)), "utf-8")
    path.chmod(0o755)


def _slim(library: Path) -> None:
    """Remove files that no job imports: test suites and C++ headers."""
    for path in ("pyarrow/include", "pyarrow/tests", "pandas/tests", "numpy/_core/tests"):
        shutil.rmtree(library / path, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the files that Spark jobs need on a cluster.")
    parser.add_argument("--folder", type=Path, default=PROJECT / "dist" / "spark")
    parser.add_argument("--platform", default=PLATFORM, help="as uv names it, such as aarch64-manylinux_2_28")
    parser.add_argument("--python", nargs="+", default=PYTHONS, help="the cluster's Python, 3.11 or newer, or several")
    options = parser.parse_args()
    try:
        for path in spark_dist(options.folder, load_settings().spark.project, options.platform, options.python):
            print(f"{path.stat().st_size / 1e6:8.1f} MB  {path}")  # noqa: T201
    except LakeError as error:
        sys.exit(f"lake: {error}")


if __name__ == "__main__":
    main()
