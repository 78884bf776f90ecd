"""The list of all files of the servers: connectors/jars.lock, made from connectors/ivy.xml.

`python -m lake_assets.stack.jar_lock` (`make jars-lock`) resolves ivy.xml with its dependencies and writes the list.
"""

import hashlib
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from lake_assets.errors import LakeError
from lake_assets.settings import PROJECT
from lake_assets.stack.ivy import run_ivy

DIRECT = PROJECT / "connectors" / "ivy.xml"
LOCK = PROJECT / "connectors" / "jars.lock"
HEADER = """# Made by `make jars-lock` from ivy.xml.
# sha256, bytes, folder, organisation:name:revision[:classifier]:extension[, who alone needs it]
"""
FOLDER_OF = {
    "kafka": "kafka", "iceberg": "plugins/iceberg", "jdbc": "plugins/jdbc", "s3": "plugins/iceberg",
    "gs": "plugins/iceberg", "tests": "doubles/hdfs",
}  # fmt: skip
# Large, and only needed with a bucket of that scheme, or by the tests.
SPECIAL = ("s3", "gs", "tests")


class JarLockError(LakeError):
    """jars.lock or ivy.xml cannot be used."""


@dataclass(frozen=True, slots=True, order=True)
class Coordinates:
    """Maven coordinates of one file; `classifier` is empty for most."""

    organisation: str
    name: str
    revision: str
    classifier: str
    extension: str

    @property
    def file_name(self) -> str:
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.name}-{self.revision}{classifier}.{self.extension}"

    def __str__(self) -> str:
        return ":".join(filter(None, (self.organisation, self.name, self.revision, self.classifier, self.extension)))


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: a file, its SHA-256, its bytes, and its folder under the jars folder.

    With a `need` it is only used with a bucket whose URL has that scheme, or by the `tests`.
    """

    sha256: str
    size: int
    folder: str
    coordinates: Coordinates
    need: str = ""

    @property
    def is_archive(self) -> bool:
        """Return True if the folder holds this file's contents instead of the file."""
        return self.coordinates.extension == "tar.gz"


def read_lock(path: Path = LOCK) -> list[Jar]:
    """Return all lines of the lock. Raises JarLockError for an invalid line."""
    jars: list[Jar] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.startswith("#"):
            continue
        match line.split():
            case [sha256, size, folder, coordinates, *need] if size.isdigit() and coordinates.count(":") in (3, 4):
                organisation, name, revision, *classifier, extension = coordinates.split(":")
                file = Coordinates(organisation, name, revision, "".join(classifier), extension)
                jars.append(Jar(sha256, int(size), folder, file, "".join(need)))
            case _:
                raise JarLockError(
                    f"{path.name} line {number} is not a jar: make the file again with `make jars-lock`."
                )
    return jars


def needed_by(needs: Collection[str], jars: Iterable[Jar]) -> list[Jar]:
    """Return the jars that every lake needs and those of these needs: schemes of buckets, or `tests`."""
    return [jar for jar in jars if jar.need in ("", *needs)]


def render_lock(jars: Iterable[Jar]) -> str:
    lines = [
        f"{jar.sha256}  {jar.size:>9}  {jar.folder:<15}  {jar.coordinates}  {jar.need}".rstrip() + "\n" for jar in jars
    ]
    return HEADER + "".join(sorted(lines, key=lambda line: line.split()[2:]))


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resolve(java: str) -> list[Jar]:
    """Return every file that ivy.xml needs, hashed after a download to a temporary folder. Raises JarLockError."""
    with tempfile.TemporaryDirectory(prefix="lake-jars-") as cache:
        ivy = run_ivy(java, DIRECT, Path(cache), types=("jar", "bundle", "tar.gz"))
        if ivy.wait() != 0:
            raise JarLockError(f"Ivy could not resolve {DIRECT.name}: see its output above.")
        jars: list[Jar] = []
        for conf in FOLDER_OF:
            report = ElementTree.parse(Path(cache) / f"lake-connectors-{conf}.xml")  # noqa: S314 - written by Ivy just now
            for module in report.iter("module"):
                for revision in module.iter("revision"):
                    jars += [
                        _read_artifact(artifact, module.attrib["organisation"], revision.attrib["name"], conf)
                        for artifact in revision.iter("artifact")
                    ]
        return jars


def _read_artifact(artifact: ElementTree.Element, organisation: str, revision: str, conf: str) -> Jar:
    classifier = artifact.attrib.get("extra-1.m.classifier", "")
    coordinates = Coordinates(organisation, artifact.attrib["name"], revision, classifier, artifact.attrib["ext"])
    file = Path(artifact.attrib["location"])
    need = conf if conf in SPECIAL else ""
    return Jar(hash_file(file), file.stat().st_size, FOLDER_OF[conf], coordinates, need)


def main() -> None:
    from lake_assets.stack.java import find_java

    try:
        jars = resolve(find_java())
    except LakeError as error:
        sys.exit(f"lake: {error}")
    LOCK.write_text(render_lock(jars), "utf-8")
    print(f"{LOCK.name}: {len(jars)} files, {sum(jar.size for jar in jars) / 1e6:.0f} MB")  # noqa: T201 - a build tool


if __name__ == "__main__":
    main()
