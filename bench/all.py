"""Run all benches, one after the other, and write their figures as one document.

    python -m bench.all [--only conform spark] [--small] [--out docs/performance.md]

Each bench runs in its own process, with its own lake. `--small` uses the sizes of the tests, whose figures are not
meaningful. The exit code is 1 when a bench failed; its figures are then missing.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import psutil

from bench.figures import Figures, read_figures
from lake_assets.settings import PROJECT

# Arguments by name of the bench. Benches that are compared with each other run together, under the same load.
FULL: dict[str, list[str]] = {
    "conform": [],
    "spark": [],
    "stream": ["--peers"],
    "produce": [],
    "landing": [],
    "stream_latency": [],
    "stream_restart": [],
    "stream_instances": [],
    "stream_host": [],
    "freshness": [],
    "model_change": [],
    "failing": [],
    "late": [],
    "far_apart": [],
    "repair": [],
    "compaction": ["--files", "500"],
    "dbt": [],
    "changes": [],
    "growth": [],
    "many_assets": ["--events", "5"],
    "publish": [],
}
# Sizes at which a bench is only started, so that it does not rot.
SMALL: dict[str, list[str]] = {
    "conform": ["--rows", "1000", "--rounds", "1"],
    "spark": ["--rows", "1000", "--files", "2", "--memory", "512m", "--rounds", "1"],
    "stream": ["--events", "4000", "--rounds", "1"],
    "produce": ["--events", "1000", "--rounds", "1"],
    "landing": ["--events", "1000", "--rounds", "1"],
    "stream_latency": ["--rate", "200", "--seconds", "1", "--warm-up", "0", "--rounds", "1"],
    "stream_restart": ["--states", "1000", "--rounds", "1"],
    "stream_instances": ["--events", "20000", "--partitions", "2", "--instances", "1", "--rounds", "1"],
    "stream_host": ["--assets", "1", "--metrics", "2", "--events", "200", "--seconds", "0.1", "--rounds", "1"],
    "freshness": ["--rounds", "1"],
    "model_change": ["--rounds", "1"],
    "failing": ["--windows", "5", "--rounds", "1"],
    "late": ["--short", "1", "--long", "3", "--rounds", "1"],
    "far_apart": ["--assets", "1", "--windows", "2", "--rounds", "1"],
    "repair": ["--windows", "3", "--rows", "30", "--rounds", "1"],
    "compaction": ["--files", "2", "--rows", "5", "--rounds", "1"],
    "dbt": ["--rounds", "1"],
    "growth": ["--commits", "3", "--rounds", "1"],
    "changes": ["--assets", "2", "--snapshots", "2", "--rounds", "1"],
    "many_assets": ["--assets", "2", "--rounds", "1"],
    "publish": ["--windows", "2", "--rows", "5"],
}


def machine() -> str:
    """Describe processor, cores, memory and versions in one sentence."""
    names = [line.partition(":")[2].strip() for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    memory = psutil.virtual_memory().total / 2**30
    release = ".".join(platform.release().split(".")[:2])
    return (
        f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB, "
        f"{platform.system()} {release}, Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    )


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []


def document(found: Sequence[Figures], when: datetime, where: str, left_out: Collection[str] = ()) -> str:
    """Render the figures as Markdown: first each rival that is as fast as the lake, or faster.

    `left_out` are benches that were not run.
    """
    lost = [
        f"| `{figures.bench}` | {figures.condition} | {row.what} | {row.verdict} |"
        for figures in found
        for row in figures.rows
        if row.ratio is not None and not row.verdict.endswith("faster")
    ]
    lines = [
        "# Performance",
        "",
        f"Measured by `make bench` on {when:%d %B %Y}: {where}.",
        *([f"Without {', '.join(sorted(left_out))}, which were not run that day."] if left_out else []),
        "",
        "Medians of rounds that were taken in turns. A ratio is the median of the rounds' own ratios: how many times",
        "as fast ours was as this rival. Within 5 % both are called level. The docstring of each bench says what each",
        "side does, and how the outputs are compared. Load is the machine's load average when the bench began.",
        "",
        "## Where ours is slower, or level",
        "",
        *(["| bench | condition | rival | ours |", "|---|---|---|---|", *lost] if lost else ["Nowhere."]),
    ]
    bench = ""
    for figures in found:
        if figures.bench != bench:
            bench = figures.bench
            lines += ["", f"## {bench}"]
        rounds = max(len(row.values) for row in figures.rows)
        lines += [
            "",
            f"{figures.condition[0].upper()}{figures.condition[1:]}. Rounds: {rounds}; load: {figures.load:.1f}.",
            "",
            "| what | median | best | worst | unit | ours |",
            "|---|---:|---:|---:|---|---|",
        ]
        for row in figures.rows:
            numbers = " | ".join(row.shown(value) for value in (row.median, row.best, row.worst))
            lines.append(f"| {row.what} | {numbers} | {row.unit} | {row.verdict} |")
    return "\n".join(lines) + "\n"


def run(names: Iterable[str], sizes: dict[str, list[str]], path: Path) -> list[str]:
    """Run the benches, whose figures are appended to `path`. Returns those that failed."""
    failed: list[str] = []
    for name in names:
        command = [sys.executable, "-m", f"bench.{name}", *sizes[name], "--figures", str(path)]
        if subprocess.run(command, cwd=PROJECT, check=False).returncode:
            failed.append(name)
    return failed


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(FULL), default=list(FULL), metavar="BENCH")
    parser.add_argument("--small", action="store_true", help="the sizes of the tests")
    parser.add_argument("--out", type=Path, default=PROJECT / "docs" / "performance.md")
    given = parser.parse_args(arguments)
    when = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "figures.jsonl"
        path.touch()
        failed = run(given.only, SMALL if given.small else FULL, path)
        given.out.write_text(document(list(read_figures(path)), when, machine(), FULL.keys() - given.only), "utf-8")
    print(f"\nwritten: {given.out}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
