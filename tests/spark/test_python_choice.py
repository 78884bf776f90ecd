"""The archive for a cluster runs on whichever of its Pythons the cluster has."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from lake_assets.stack.spark_dist import PYTHONS, DistError, environment, write_wrapper


def cluster(at: Path, **pythons: str) -> Path:
    """A folder of programs that stand for these versions of Python."""
    tools = at / "tools"
    tools.mkdir()
    (tools / "dirname").symlink_to("/usr/bin/dirname")
    for name, version in pythons.items():
        program = tools / name.replace("_", ".")
        program.write_text(
            f'#!/bin/sh\nif [ "$1" = -c ]; then echo {version}; else echo "{version} $PYTHONPATH"; fi\n', "utf-8"
        )
        program.chmod(0o755)
    return tools


def run(at: Path, tools: Path, pythons: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    for version in pythons:
        (at / "lib" / version).mkdir(parents=True)
    (at / "bin").mkdir()
    write_wrapper(at / "bin" / "python", pythons)
    command = [str(at / "bin" / "python"), "job.py"]
    return subprocess.run(command, env={"PATH": str(tools)}, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ({"python3": "3.12"}, "3.12"),
        ({"python": "3.11"}, "3.11"),
        # The system's Python of EMR's releases, with one that a bootstrap script has installed.
        ({"python3": "3.9", "python3_11": "3.11"}, "3.11"),
        ({"python3": "3.12", "python3_11": "3.11"}, "3.12"),
    ],
)
def test_a_python_of_the_cluster_gets_its_own_packages(tmp_path: Path, pythons: dict[str, str], chosen: str) -> None:
    done = run(tmp_path, cluster(tmp_path, **pythons), PYTHONS)
    assert done.stdout == f"{chosen} {tmp_path.resolve()}/lib/{chosen}\n"


def test_a_cluster_with_none_of_them_is_reported(tmp_path: Path) -> None:
    done = run(tmp_path, cluster(tmp_path, python3="3.9"), PYTHONS)
    assert done.returncode == 127
    assert "made for Python 3.11 or 3.12, which this machine lacks" in done.stderr


def test_an_archive_for_a_python_that_the_job_does_not_run_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DistError, match=r"not run on Python 3\.10: name 3\.11 or newer"):
        environment(tmp_path, "x86_64-manylinux_2_28", ["3.10"])
