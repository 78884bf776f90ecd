"""Fetches what jars.lock lists and is not there yet, in parallel, checked, and safe to interrupt at any moment.

`python -m lake_assets.stack.jars` is `make jars`; what else is needed may follow, as jars.lock names it.
"""

import os
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

PROCESSES = 4
ATTEMPTS = 2
POLL_SECONDS = 0.2
# What a request costs beside the bytes, in bytes: shards of many small files are as slow as those of few large ones.
REQUEST_COST = 1_500_000
# No POMs, which the lock makes needless, and no remote checksums, which its own replace; Ivy knows the repository.
SETTINGS = """<ivysettings>
  <settings defaultResolver="public"/>
  <property name="ivy.checksums" value=""/>
  <caches artifactPattern="[organisation]/[artifact]-[revision](-[classifier]).[ext]"/>
  <resolvers><ibiblio name="public" m2compatible="true" usepoms="false"/></resolvers>
</ivysettings>
"""
Progress = Callable[[str], None]


class JarsError(LakeError):
    """The jars are not complete and could not be made so."""

    exit_code = 3


def jars_folder() -> Path:
    """`LAKE_JARS`, else `.jars` in the project."""
    return Path(os.environ.get("LAKE_JARS", PROJECT / ".jars")).expanduser().resolve()


def complete_jars(
    java: str,
    on_progress: Progress = lambda _: None,
    jars: Sequence[Jar] | None = None,
    needs: Collection[str] = (),
) -> Path:
    """The jars folder with every file of the lock in it that has no special need or one of `needs`; fetches what is
    missing. Raises JarsError.

    A file is fetched by one process once, whatever was interrupted before, and appears under its name only when its
    SHA-256 is the lock's. Files of an older lock are removed. `jars` are those of another lock, with other folders.
    """
    folder = jars_folder()
    jars = read_lock() if jars is None else jars
    needed = needed_by(needs, jars)
    if not missing(folder, needed):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    # A second fetch into the folder waits, and then finds everything there.
    with file_lock(folder / ".lock") as lock:
        wanted = missing(folder, needed)
        _check_space(folder, wanted)
        downloads = folder / ".download"
        try:
            _Fetch(java, folder, downloads, lock, wanted, on_progress).run()
        except OSError as error:
            raise JarsError(f"The jars could not be written to '{folder}': {error.strerror}.") from None
        shutil.rmtree(downloads, ignore_errors=True)
        _remove_strangers(folder, jars)
    return folder


def missing(folder: Path, jars: Iterable[Jar]) -> list[Jar]:
    """The jars of the lock that are not in place. Looks at names and sizes: hashes were checked on the way in."""
    return [jar for jar in jars if not _is_in_place(folder, jar)]


def shards(coordinates: Iterable[tuple[Coordinates, int]], count: int) -> list[list[Coordinates]]:
    """The files (with their bytes) in at most `count` lists that take about as long to fetch as each other."""
    lists: list[list[Coordinates]] = [[] for _ in range(count)]
    costs = [0] * count
    for found, size in sorted(coordinates, key=lambda pair: (-pair[1], pair[0])):
        cheapest = costs.index(min(costs))
        lists[cheapest].append(found)
        costs[cheapest] += size + REQUEST_COST
    return [entries for entries in lists if entries]


def render_module(coordinates: Iterable[Coordinates]) -> str:
    """An ivy.xml of exactly these files, with nothing that they need and none of them in another's way."""
    dependencies = "\n".join(_render_dependency(found) for found in coordinates)
    return f"""<ivy-module version="2.0" xmlns:m="http://ant.apache.org/ivy/maven">
  <info organisation="lake" module="shard"/>
  <dependencies>
{dependencies}
    <conflict manager="all"/>
  </dependencies>
</ivy-module>
"""


def _render_dependency(found: Coordinates) -> str:
    extension = quoteattr(found.extension)
    artifact = f"<artifact name={quoteattr(found.name)} type={extension} ext={extension}"
    if found.classifier:
        artifact += f" m:classifier={quoteattr(found.classifier)}"
    where = f"org={quoteattr(found.organisation)} name={quoteattr(found.name)} rev={quoteattr(found.revision)}"
    return f'    <dependency {where} transitive="false">{artifact}/></dependency>'


class _Fetch:
    """One run of several Ivys side by side, whose finished files are checked and put in place as they come."""

    def __init__(
        self, java: str, folder: Path, downloads: Path, lock: int, wanted: Sequence[Jar], on_progress: Progress
    ) -> None:
        self._java = java
        self._folder = folder
        self._downloads = downloads
        self._lock = lock
        self._wanted = list(wanted)
        self._say = on_progress
        self._total = sum({jar.coordinates: jar.size for jar in wanted}.values())
        self._began = time.monotonic()

    def run(self) -> None:
        self._downloads.mkdir(exist_ok=True)
        (self._downloads / "ivysettings.xml").write_text(SETTINGS, "utf-8")
        self._take_in()
        for _ in range(ATTEMPTS):
            if self._wanted:
                self._round()
        if self._wanted:
            raise JarsError(
                f"{len(self._wanted)} of the jars could not be fetched ({self._reason()}): "
                "run `make jars` again, it goes on where it stopped."
            )

    def _round(self) -> None:
        sizes = {jar.coordinates: jar.size for jar in self._wanted}
        running = [self._start(number, shard) for number, shard in enumerate(shards(sizes.items(), PROCESSES))]
        try:
            while any(process.poll() is None for process in running):
                time.sleep(POLL_SECONDS)
                self._take_in()
                self._report()
        finally:
            for process in running:
                process.kill()
                process.wait()
        self._take_in()

    def _start(self, number: int, shard: list[Coordinates]) -> subprocess.Popen[bytes]:
        cache = self._downloads / str(number)
        cache.mkdir(exist_ok=True)
        module = self._downloads / f"{number}.xml"
        module.write_text(render_module(shard), "utf-8")
        with (self._downloads / f"{number}.log").open("wb") as log:
            settings = self._downloads / "ivysettings.xml"
            # Holding the lock too, an Ivy that outlives us is waited for by the next run, not raced with.
            return run_ivy(self._java, module, cache, settings=settings, output=log, hold=self._lock)

    def _take_in(self) -> None:
        """Put the files that are complete in their places; one of another content is removed, to be fetched again."""
        by_name = {f"{found.organisation}/{found.file_name}" for found in {jar.coordinates for jar in self._wanted}}
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
        left = sum({jar.coordinates: jar.size for jar in self._wanted}.values())
        under_way = sum(path.stat().st_size for path in self._downloads.glob("*/*/*.part") if path.exists())
        here = self._total - left + under_way
        seconds = time.monotonic() - self._began
        self._say(f"jars: {here / 1e6:.0f} of {self._total / 1e6:.0f} MB after {seconds:.0f} s")

    def _reason(self) -> str:
        """The first thing that went wrong, in Ivy's words."""
        trouble = re.compile(
            r"(UnknownHost\S*|Connect\S*Exception|SSL\S*|No space left\S*|timed out|SERVER ERROR|not found).*"
        )
        for log in sorted(self._downloads.glob("*.log")):
            for line in log.read_text("utf-8", "replace").splitlines():
                if found := trouble.search(line):
                    return found[0].strip()[:120]
        return f"their contents are not those of {LOCK.name}"


def _place(folder: Path, jar: Jar) -> Path:
    return folder / jar.folder if jar.is_archive else folder / jar.folder / jar.coordinates.file_name


def _is_in_place(folder: Path, jar: Jar) -> bool:
    if jar.is_archive:
        mark = folder / jar.folder / ".archive"
        return mark.exists() and mark.read_text("utf-8") == jar.sha256
    place = _place(folder, jar)
    return place.exists() and place.stat().st_size == jar.size


def _put_in_place(folder: Path, jar: Jar, file: Path) -> None:
    """Copy or unpack aside, then rename: the name never stands for half a file."""
    place = _place(folder, jar)
    aside = place.with_name(f".{place.name}.new")
    if not jar.is_archive:
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, aside)
        aside.replace(place)
        return
    shutil.rmtree(aside, ignore_errors=True)
    with tarfile.open(file) as archive:
        archive.extractall(aside, filter="data")
    (top,) = aside.iterdir()  # a Connect plugin's archive has one folder
    (top / ".archive").write_text(jar.sha256, "utf-8")
    shutil.rmtree(place, ignore_errors=True)
    top.rename(place)
    aside.rmdir()


def _remove_strangers(folder: Path, jars: Iterable[Jar]) -> None:
    """Two versions of one jar on a class path would be worse than none."""
    plain = [jar for jar in jars if not jar.is_archive]
    places = {_place(folder, jar) for jar in plain}
    for parent in {place.parent for place in places}:
        for path in parent.glob("*"):  # of a folder that nothing here needs there may be none
            if path not in places:
                path.unlink()


def _check_space(folder: Path, wanted: Sequence[Jar]) -> None:
    needed = 2 * sum(jar.size for jar in wanted)  # each file lies in the download folder too until all are there
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise JarsError(
            f"The jars need {needed / 1e6:.0f} MB at '{folder}' and {free / 1e6:.0f} MB are free: "
            "make room, or set LAKE_JARS to a folder on another disk."
        )


def main() -> None:
    from lake_assets.stack.java import find_java
    from lake_assets.stack.plugin import compile_plugin

    live = sys.stderr.isatty()

    def show(line: str) -> None:
        """One line that counts on a terminal; a log gets the words of the start and the end only."""
        if live:
            print(f"\r{line}  ", end="", file=sys.stderr, flush=True)  # noqa: T201

    try:
        needs = {*sys.argv[1:], scheme(load_settings().bucket)}
        wanted = missing(jars_folder(), needed_by(needs, read_lock()))
        if not wanted:
            compile_plugin(find_java(), jars_folder())
            return
        began = time.monotonic()
        print(f"Fetching {len(wanted)} jars into {jars_folder()} ...", flush=True)  # noqa: T201
        compile_plugin(find_java(), complete_jars(find_java(), show, needs=needs))
        if live:
            print(file=sys.stderr)  # noqa: T201
        print(f"The jars are complete after {time.monotonic() - began:.0f} s.")  # noqa: T201
    except LakeError as error:
        sys.exit(f"lake: {error}")
    except KeyboardInterrupt:
        sys.exit("lake: The download was interrupted: run `make jars` again, it goes on where it stopped.")


if __name__ == "__main__":
    main()
