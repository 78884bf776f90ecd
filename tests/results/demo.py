"""Check of `make demo` against the README: `python -m tests.results.demo`, in a lake of its own."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from lake_assets.home import Home
from lake_assets.settings import PROJECT

TABLES = ("funnel_data_mart.funnel, by origin", "sales_data_mart.sales, by region", "Quarantine: lake quarantine")
ASSETS = ("leads", "contracts", "sales")
# What is promised within seconds must not take ten times as long.
AT_MOST = {"metric": 10, "mart": 60}
LOG_LINES = 40


def lacking(output: str) -> list[str]:
    """Return the texts that are missing in the demo's output."""
    # Tables are padded to their width.
    output = "\n".join(line.rstrip() for line in output.splitlines())
    found: list[str] = []
    for table in TABLES:
        # Title, names of the columns, a line, rows.
        if not re.search(rf"^{re.escape(table)}\n.+\n.+\n \w", output, re.MULTILINE):
            found.append(f"the table '{table}'")
    for asset in ASSETS:
        if not re.search(rf"^ {asset} .*[1-9].* in balance$", output, re.MULTILINE):
            found.append(f"an audit of {asset} that is in balance")
    if not re.search(
        r"^Speed and batch, sales_by_region: [1-9][\d,]* final numbers equal staging$", output, re.MULTILINE
    ):
        found.append("a metric that equals staging")
    for what, seconds in AT_MOST.items():
        match = re.search(rf"^From the last event to the {what} +([\d.]+) s$", output, re.MULTILINE)
        if not match or float(match[1]) > seconds:
            found.append(f"an event in the {what} within {seconds} s")
    match = re.search(r"^ *its password +in (.+)$", output, re.MULTILINE)
    if not match or not re.search(r":analyst:.+", _read(PROJECT / match[1])):
        found.append("a file with the analyst's password")
    return found


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""


def log_tails(home: Path) -> str:
    """The last lines of each log."""
    tails = [
        f"--- {log.name}\n" + "\n".join(log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:])
        for log in sorted(Home(home).logs.glob("*"))
        if log.is_file()
    ]
    return "\n".join(tails)


def main() -> None:
    home = Path(tempfile.mkdtemp(prefix="lake-"))
    environment = {**os.environ, "LAKE_HOME": str(home)}
    problems: list[str] = []
    try:
        with subprocess.Popen(
            ["make", "demo"],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout
            output = ""
            for line in process.stdout:
                print(line, end="", flush=True)
                output += line
        problems = [f"make demo ended with {process.returncode}"] if process.returncode else []
        problems += [f"make demo shows not: {what}" for what in lacking(output)]
        if problems:
            print(log_tails(home))
    finally:
        subprocess.run(["make", "down"], cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, check=True)
        shutil.rmtree(home, ignore_errors=True)
    print("\n".join(problems) or "make demo: as the README says")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
