"""Code that a cluster needs to run the job: main file, zip and Python environment, in the bucket, named by content."""

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lake_assets.bucket import is_local, local_path, size, written
from lake_assets.conform.package import MAIN, job_zip
from lake_assets.conform.runners.environment import needed, spark_settings
from lake_assets.errors import LakeError
from lake_assets.object_stores import store_of
from lake_assets.settings import PROJECT, Settings

_FOLDER = "environment"
PYTHON = f"./{_FOLDER}/bin/python"
_SUFFIX = ".tar.gz"


@dataclass(frozen=True, slots=True)
class CodeUrls:
    """URLs of the code for a cluster. `archive` ends with the folder it is unpacked to."""

    main: str
    package: str
    archive: str


@dataclass(frozen=True, slots=True)
class Code:
    """Code of jobs. `environment` is the archive of the executors' Python, a path or a bucket URL.

    The zip is written in `scratch`. `settings` are Spark's, on top of those that every service needs.
    """

    bucket: str
    environment: str
    scratch: Path
    project: Path
    main: Path = PROJECT / "spark" / MAIN
    settings: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, settings: Settings) -> "Code":
        """Read the settings. Raises SettingsError when no archive is named."""
        archive = needed("LAKE_SPARK_ENVIRONMENT", "the path or URL of the archive that `make spark-dist` builds")
        return cls(settings.bucket, archive, settings.home / "spark", settings.spark.project, settings=spark_settings())

    def uploaded(self) -> CodeUrls:
        """Write missing code to the bucket, and return the URLs. Raises LakeError when there is no archive."""
        package = job_zip(self.project, self.scratch)
        return CodeUrls(
            main=self._upload(self.main, f"{self.main.stem}-{_digest(self.main)}.py"),
            package=self._upload(package, package.name),
            archive=f"{self._archive()}#{_FOLDER}",
        )

    def spark(self, *driver: str) -> dict[str, str]:
        """Return the settings for the archive's Python and the bucket on driver and executors.

        `driver` begins the keys of its variables. Neither inherits the environment of this process.
        """
        variables = {"PYSPARK_PYTHON": PYTHON, **store_of(self.bucket).environment}
        places = (*driver, "spark.executorEnv.")
        return {**{f"{place}{name}": text for place in places for name, text in variables.items()}, **self.settings}

    def _archive(self) -> str:
        if not is_local(self.environment):
            return self.environment
        path = Path(local_path(self.environment))
        if not path.is_file():
            raise LakeError(f"{path} is missing: run `make spark-dist`, or set LAKE_SPARK_ENVIRONMENT.")
        return self._upload(path, f"{_FOLDER}-{_digest(path)}{_SUFFIX}")

    def _upload(self, source: Path, name: str) -> str:
        url = f"{self.bucket}/jobs/code/{name}"
        # A file that was cut short has another size.
        if size(url) != source.stat().st_size:
            with written(url) as path:
                shutil.copyfile(source, path)
        return url


def as_arguments(settings: Mapping[str, str]) -> Iterable[str]:
    """Return settings as arguments of `spark-submit`."""
    return (part for key, value in settings.items() for part in ("--conf", f"{key}={value}"))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
