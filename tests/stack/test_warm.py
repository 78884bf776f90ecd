"""A warm process is like one that was started, in all that its caller can see."""

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from lake_assets.settings import PROJECT
from tests.support.warm_processes import run_module

MIRROR = "tests.support.argument_mirror"
# Wherever it runs; a path of its own for the programs that it starts.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT), "LAKE_HOME": "/nowhere", "LANG": "C.UTF-8"}


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (("exit", "0"), 0),
        (("exit", "3"), 3),
        (("fail", "a sentence"), 1),
        (("kill", f"{signal.SIGKILL:d}"), -signal.SIGKILL),
        (("kill", f"{signal.SIGTERM:d}"), -signal.SIGTERM),
    ],
    ids=str,
)
def test_warm_process_sees_and_answers_what_a_true_start_does(how: tuple[str, str], code: int, tmp_path: Path) -> None:
    stdin = b"a line of input\n" * 20_000
    command = [sys.executable, "-m", MIRROR, *how]
    true = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, input=stdin, capture_output=True, check=False)
    warm = run_module(MIRROR, *how, environment=ENVIRONMENT, stdin=stdin, folder=tmp_path)
    assert (warm.returncode, warm.stdout.decode(), warm.stderr.decode()) == (
        true.returncode,
        true.stdout.decode(),
        true.stderr.decode(),
    )
    assert warm.returncode == code
    assert b"a line of input" in warm.stdout


def test_warm_process_interrupted_ends_by_that_signal() -> None:
    warm = run_module(MIRROR, "kill", f"{signal.SIGINT:d}", environment=ENVIRONMENT)
    assert warm.returncode == -signal.SIGINT


def test_warm_process_that_hangs_ends_at_its_deadline() -> None:
    run_module(MIRROR, "exit", "0", environment=ENVIRONMENT)
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(subprocess.TimeoutExpired) as raised:
        run_module(MIRROR, "hang", environment=ENVIRONMENT, seconds=2)
    assert raised.value.stderr == b"to stderr\n", "it was there until then"
    assert set(psutil.Process().children(recursive=True)) <= before


def test_warm_processes_at_once_have_their_own_answers() -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: run_module(MIRROR, "exit", str(n), environment=ENVIRONMENT), range(24)))
    assert [one.returncode for one in done] == list(range(24))
