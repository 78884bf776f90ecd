"""The zip of a Spark job has all that the job imports: on a cluster there is no other file of the lake."""

import subprocess
import sys
from pathlib import Path

from lake_assets.conform.package import job_zip
from lake_assets.settings import PROJECT

# Imports as the driver does, and prints from where the lake's own modules came.
PROBE = """\
import sys
sys.path.insert(0, sys.argv[1])
import job
print(*sorted({module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "lake_assets"}))
"""


def test_job_imports_nothing_of_the_lake_that_its_zip_lacks(tmp_path: Path) -> None:
    """A module of the bucket imported one that was not in the zip, and every job failed."""
    package = job_zip(PROJECT / "spark", tmp_path)
    command = [sys.executable, "-c", PROBE, str(package)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    files = done.stdout.split()
    assert len(files) > 10
    assert all(file.startswith(str(package)) for file in files), files
