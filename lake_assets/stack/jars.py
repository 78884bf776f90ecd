"""Fetch missing files of jars.lock: in parallel, verified, and safe to interrupt at any moment.

`python -m lake_assets.stack.jars` is `make jars`; its arguments are further needs, as jars.lock names them.
"""

import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from lake_assets.errors import LakeError
from lake_assets.local_files import file_lock
from lake_assets.object_stores import scheme
from lake_assets.settings import PROJECT, load_settings
from lake_assets.stack.ivy import run_ivy
from lake_assets.stack.jar_lock import LOCK, Coordinates, Jar, hash_file, needed_by, read_lock
from lake_assets.variables import read_variable

PROCESSES = 4
ATTEMPTS = 2
POLL_SECONDS = 0.2
# Cost of one request besides its bytes, in bytes: shards of many small files are as slow as shards of a few large
# ones.
REQUEST_COST = 1_500_000
# No POMs, which the lock makes unnecessary, and no remote checksums: the lock has its own. Ivy knows the repository.
SETTINGS = """<ivysettings>
  <settings defaultResolver="public"/>
  <property name="ivy.checksums" value=""/>
  <caches artifactPattern="[organisation]/[artifact]-[revision](-[classifier]).[ext]"/>
  <resolvers><ibiblio name="public" m2compatible="true" usepoms="false"/></resolvers>
</ivysettings>
"""
Progress = Callable[[str], None]


class JarsError(LakeError):
    """The jars are incomplete and could not be completed."""

    exit_code = 3


def jars_folder() -> Path:
    """Return `LAKE_JARS`, else `.jars` in the project."""
    return Path(read_variable("LAKE_JARS", str(PROJECT / ".jars"))).expanduser().resolve()


def complete_jars(
    java: str,
    on_progress: Progress = lambda _: None,
    jars: Sequence[Jar] | None = None,
    needs: Collection[str] = (),
) -> Path:
    """Fetch missing files of the lock that have no special need or one of `needs`; return the folder.

    Raises JarsError. A file is fetched by one process once, even after interrupted runs, and appears under its name
    only when its SHA-256 matches the lock. Files of an older lock are removed. `jars` are those of another lock, with
    other folders.
    """
    folder = jars_folder()
    jars = read_lock() if jars is None else jars
    needed = needed_by(needs, jars)
    if not missing(folder, needed):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    # A second fetch into the folder waits, and then finds every file.
    with file_lock(folder / ".lock") as lock:
        missing_jars = missing(folder, needed)
        _check_space(folder, missing_jars)
        downloads = folder / ".download"
        try:
            _Fetch(java, folder, downloads, lock, missing_jars, on_progress).run()
        except OSError as error:
            raise JarsError(f"The jars could not be written to '{folder}': {error.strerror}.") from None
        shutil.rmtree(downloads, ignore_errors=True)
        _remove_unlisted(folder, jars)
    return folder


def missing(folder: Path, jars: Iterable[Jar]) -> list[Jar]:
    """Return the jars of the lock that are not in place, by name and size: hashes were verified on download."""
    return [jar for jar in jars if not _is_in_place(folder, jar)]


def shards(coordinates: Iterable[tuple[Coordinates, int]], count: int) -> list[list[Coordinates]]:
    """Split the files (with their bytes) into at most `count` lists of similar download time."""
    lists: list[list[Coordinates]] = [[] for _ in range(count)]
    costs = [0] * count
    for file, size in sorted(coordinates, key=lambda pair: (-pair[1], pair[0])):
        cheapest = costs.index(min(costs))
        lists[cheapest].append(file)
        costs[cheapest] += size + REQUEST_COST
    return [entries for entries in lists if entries]


def render_module(coordinates: Iterable[Coordinates]) -> str:
    """Render an ivy.xml of exactly these files, without their dependencies and without conflicts between them."""
    dependencies = "\n".join(_render_dependency(file) for file in coordinates)
    return f"""<ivy-module version="2.0" xmlns:m="http://ant.apache.org/ivy/maven">
  <info organisation="lake" module="shard"/>
  <dependencies>
{dependencies}
    <conflict manager="all"/>
  </dependencies>
</ivy-module>
"""


def _render_dependency(file: Coordinates) -> str:
    extension = quoteattr(file.extension)
    artifact = f"<artifact name={quoteattr(file.name)} type={extension} ext={extension}"
    if file.classifier:
        artifact += f" m:classifier={quoteattr(file.classifier)}"
    where = f"org={quoteattr(file.organisation)} name={quoteattr(file.name)} rev={quoteattr(file.revision)}"
    return f'    <dependency {where} transitive="false">{artifact}/></dependency>'


class _Fetch:
    """Several Ivy processes side by side; finished files are verified and put in place as they come."""

    def __init__(
        self, java: str, folder: Path, downloads: Path, lock: int, missing_jars: Sequence[Jar], on_progress: Progress
    ) -> None:
        self._java = java
        self._folder = folder
        self._downloads = downloads
        self._lock = lock
        self._wanted = list(missing_jars)
        self._on_progress = on_progress
        self._total = sum({jar.coordinates: jar.size for jar in missing_jars}.values())
        self._began = time.monotonic()

    def run(self) -> None:
        self._downloads.mkdir(exist_ok=True)
        (self._downloads / "ivysettings.xml").write_text(SETTINGS, "utf-8")
        self._collect()
        for _ in range(ATTEMPTS):
            if self._wanted:
                self._round()
        if self._wanted:
            raise JarsError(
                f"{len(self._wanted)} of the jars could not be fetched ({self._reason()}): "
                "run `make jars` again, it continues where it stopped."
            )

    def _round(self) -> None:
        sizes = {jar.coordinates: jar.size for jar in self._wanted}
        running = [self._start(number, shard) for number, shard in enumerate(shards(sizes.items(), PROCESSES))]
        try:
            while any(process.poll() is None for process in running):
                time.sleep(POLL_SECONDS)
                self._collect()
                self._report()
        finally:
            for process in running:
                process.kill()
                process.wait()
        self._collect()

    def _start(self, number: int, shard: list[Coordinates]) -> subprocess.Popen[bytes]:
        cache = self._downloads / str(number)
        cache.mkdir(exist_ok=True)
        module = self._downloads / f"{number}.xml"
        module.write_text(render_module(shard), "utf-8")
        with (self._downloads / f"{number}.log").open("wb") as log:
            settings = self._downloads / "ivysettings.xml"
            # An Ivy that outlives this process still holds the lock, so the next run waits for it instead of racing
            # with it.
            return run_ivy(self._java, module, cache, settings=settings, output=log, hold=self._lock)

    def _collect(self) -> None:
        """Put complete files in their places; remove files with the wrong hash, so that they are fetched again."""
        by_name = {f"{file.organisation}/{file.file_name}" for file in {jar.coordinates for jar in self._wanted}}
        finished = {f"{path.parent.name}/{path.name}": path for path in self._downloads.glob("*/*/*")}
        for name in by_name & finished.keys():
            path = finished[name]
            jars = [
                jar for jar in self._wanted if f"{jar.coordinates.organisation}/{jar.coordinates.file_name}" == name
            ]
            if hash_file(path) != jars[0].sha256:
                path.unlink()
                continue
            for jar in jars:
                _put_in_place(self._folder, jar, path)
                self._wanted.remove(jar)

    def _report(self) -> None:
        missing_bytes = sum({jar.coordinates: jar.size for jar in self._wanted}.values())
        partial_bytes = sum(path.stat().st_size for path in self._downloads.glob("*/*/*.part") if path.exists())
        fetched_bytes = self._total - missing_bytes + partial_bytes
        seconds = time.monotonic() - self._began
        self._on_progress(f"jars: {fetched_bytes / 1e6:.0f} of {self._total / 1e6:.0f} MB after {seconds:.0f} s")

    def _reason(self) -> str:
        """Return the first failure in Ivy's logs."""
        failure = re.compile(
            r"(UnknownHost\S*|Connect\S*Exception|SSL\S*|No space left\S*|timed out|SERVER ERROR|not found).*"
        )
        for log in sorted(self._downloads.glob("*.log")):
            for line in log.read_text("utf-8", "replace").splitlines():
                if match := failure.search(line):
                    return match[0].strip()[:120]
        return f"their SHA-256 differs from {LOCK.name}"


def _target_of(folder: Path, jar: Jar) -> Path:
    return folder / jar.folder if jar.is_archive else folder / jar.folder / jar.coordinates.file_name


def _is_in_place(folder: Path, jar: Jar) -> bool:
    if jar.is_archive:
        mark = folder / jar.folder / ".archive"
        return mark.exists() and mark.read_text("utf-8") == jar.sha256
    target = _target_of(folder, jar)
    return target.exists() and target.stat().st_size == jar.size


def _put_in_place(folder: Path, jar: Jar, file: Path) -> None:
    """Copy or unpack to a temporary name, then rename: the final name never holds a partial file."""
    target = _target_of(folder, jar)
    aside = target.with_name(f".{target.name}.new")
    if not jar.is_archive:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, aside)
        aside.replace(target)
        return
    shutil.rmtree(aside, ignore_errors=True)
    with tarfile.open(file) as archive:
        archive.extractall(aside, filter="data")
    (top,) = aside.iterdir()  # a Connect plugin's archive has one folder
    (top / ".archive").write_text(jar.sha256, "utf-8")
    shutil.rmtree(target, ignore_errors=True)
    top.rename(target)
    aside.rmdir()


def _remove_unlisted(folder: Path, jars: Iterable[Jar]) -> None:
    """Remove files of other versions: two versions of one jar on a class path would be worse than none."""
    plain = [jar for jar in jars if not jar.is_archive]
    targets = {_target_of(folder, jar) for jar in plain}
    for parent in {target.parent for target in targets}:
        for path in parent.glob("*"):  # the folder may not exist if no jar here needs it
            if path not in targets:
                path.unlink()


def _check_space(folder: Path, missing_jars: Sequence[Jar]) -> None:
    needed = 2 * sum(
        jar.size for jar in missing_jars
    )  # each file also stays in the download folder until all are complete
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise JarsError(
            f"The jars need {needed / 1e6:.0f} MB at '{folder}' and {free / 1e6:.0f} MB are free: "
            "make room, or set LAKE_JARS to a folder on another disk."
        )


def main() -> None:
    from lake_assets.stack.connect_plugin import compile_plugin
    from lake_assets.stack.java import find_java

    live = sys.stderr.isatty()

    def show(line: str) -> None:
        """Overwrite one line on a terminal; logs get only the first and the last line."""
        if live:
            print(f"\r{line}  ", end="", file=sys.stderr, flush=True)  # noqa: T201

    try:
        needs = {*sys.argv[1:], scheme(load_settings().bucket)}
        missing_jars = missing(jars_folder(), needed_by(needs, read_lock()))
        if not missing_jars:
            compile_plugin(find_java(), jars_folder())
            return
        began = time.monotonic()
        print(f"Fetching {len(missing_jars)} jars into {jars_folder()} ...", flush=True)  # noqa: T201
        compile_plugin(find_java(), complete_jars(find_java(), show, needs=needs))
        if live:
            print(file=sys.stderr)  # noqa: T201
        print(f"The jars are complete after {time.monotonic() - began:.0f} s.")  # noqa: T201
    except LakeError as error:
        sys.exit(f"lake: {error}")
    except KeyboardInterrupt:
        sys.exit("lake: The download was interrupted: run `make jars` again, it continues where it stopped.")


if __name__ == "__main__":
    main()
