"""Code of a Spark job: one small zip of Python files, the same on a laptop and on a cluster."""

import hashlib
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from lake_assets.settings import PROJECT

_PACKAGES = ("lake_assets/catalog", "lake_assets/compile")
_FILES = (
    "lake_assets/__init__.py", "lake_assets/errors.py", "lake_assets/aws.py", "lake_assets/bucket.py",
    "lake_assets/local_files.py", "lake_assets/object_stores.py", "lake_assets/conform/__init__.py",
    "lake_assets/conform/request.py", "lake_assets/conform/write_windows.py",
)  # fmt: skip
MAIN = "conform.py"


def job_zip(spark: Path, folder: Path) -> Path:
    """Return the zip of the job and the entrypoints in `spark`, named by content; write it to `folder` if missing."""
    files = dict(_files(spark))
    digest = hashlib.sha256(b"".join(name.encode() + content for name, content in files.items())).hexdigest()[:12]
    target = folder / f"lake-job-{digest}.zip"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            # A fixed time, so that equal files make equal zips.
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)
    part.replace(target)
    return target


def _files(spark: Path) -> Iterator[tuple[str, bytes]]:
    for package in _PACKAGES:
        for path in sorted((PROJECT / package).glob("*.py")):
            yield f"{package}/{path.name}", path.read_bytes()
    for name in _FILES:
        yield name, (PROJECT / name).read_bytes()
    for folder in dict.fromkeys((PROJECT / "spark", spark)):
        for path in sorted(folder.glob("*.py")):
            yield path.name, path.read_bytes()
    pipes = find_spec("dagster_pipes")
    if pipes is None or pipes.origin is None:
        raise ModuleNotFoundError("dagster_pipes")
    for path in sorted(Path(pipes.origin).parent.glob("*.py")):
        yield f"dagster_pipes/{path.name}", path.read_bytes()
