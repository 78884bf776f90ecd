"""`lake open`, `lake status --watch` and `lake completion`."""

import os
import pty
import shutil
import signal
import stat
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from lake_assets.cli import COMMANDS
from lake_assets.cli.open import command as open_command
from lake_assets.errors import LakeError, Unavailable
from lake_assets.home import Home
from lake_assets.web_key import keep_key, read_key

LAKE = str(Path(sys.executable).parent / "lake")


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that a browser was asked for, of a lake that is not up."""
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    return addresses


def open_page(page: str) -> str:
    result = CliRunner().invoke(open_command, [page])
    if isinstance(result.exception, LakeError):
        raise result.exception
    return result.output.strip()


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""


@contextmanager
def answering() -> Generator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("page", ["dagster", "dashboard"])
def test_web_ui_is_opened_when_it_answers_only(opened: list[str], tmp_path: Path, page: str) -> None:
    key = read_key(keep_key(getattr(Home(tmp_path), f"{page}_key")))
    with answering() as port:
        (tmp_path / "stack.json").write_text(f'{{"{page}_port": {port}}}', "utf-8")
        address = open_page(page)
        # An older lake, which has not been started by this version yet.
        (tmp_path / "secrets" / f"{page}_key").rename(tmp_path / "aside")
        with pytest.raises(Unavailable, match=r"has no key in .*: `lake up` makes one"):
            open_page(page)
    assert address == f"http://127.0.0.1:{port}/?key={key}"
    # All users of the machine see the command line of the browser, which leads there by way of a file.
    [shown] = opened
    assert key not in shown
    file = Path(shown.removeprefix("file://"))
    assert f"url={address}" in file.read_text("utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(Unavailable, match=r"does not answer .*: start it with `lake up`"):
        open_page(page)


def test_dashboard_that_is_left_out_is_not_opened(opened: list[str], tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text('{"without": "dashboard"}', "utf-8")
    with pytest.raises(Unavailable, match="has no dashboard: start it with `lake up`"):
        open_page("dashboard")
    assert opened == []


def test_catalog_page_is_opened_when_it_is_built_only(opened: list[str], tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="build it with `lake docs build`"):
        open_page("docs")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").touch()
    assert open_page("docs") == opened[0] == f"file://{tmp_path}/docs/index.html"


def watch(home: Path, stdout: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "LAKE_HOME": str(home)}
    return subprocess.Popen([LAKE, "status", "--watch"], stdout=stdout, stderr=subprocess.PIPE, env=environment)


def test_watch_without_a_terminal_prints_until_interrupted(tmp_path: Path) -> None:
    process = watch(tmp_path, subprocess.PIPE)
    assert process.stdout
    lines: list[bytes] = []
    while sum(b" UTC" in line for line in lines) < 2:
        lines.append(process.stdout.readline())
        assert lines[-1], "it ended by itself"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (3, b"")
    assert not any(b"\x1b" in line for line in lines)
    assert sum(b"postgres" in line for line in lines) == 1


def test_watch_draws_over_the_last_status_on_a_terminal(tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    try:
        process = watch(tmp_path, follower)
        screen = b""
        while screen.count(b"\x1b[H") < 2:
            screen += os.read(leader, 65536)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 3
        assert b"postgres" in screen
    finally:
        os.close(leader)
        os.close(follower)


@pytest.mark.parametrize("option", ["--json", "--sizes"])
def test_watch_is_refused_with_options_of_programs(option: str, tmp_path: Path) -> None:
    done = subprocess.run([LAKE, "status", "--watch", option], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"leave out {option}" in done.stderr


def complete(*words: str) -> list[str]:
    """Return the completions of the last word in bash, by the script that `lake completion bash` prints."""
    script = subprocess.run([LAKE, "completion", "bash"], capture_output=True, text=True, check=True).stdout
    call = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lake_completion "$1"; printf "%s\\n" "${COMPREPLY[@]}"'
    program = f"{script}\n{call}"
    environment = {**os.environ, "PATH": f"{Path(LAKE).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", program, "bash", "lake", *words], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.split()


def test_bash_completes_commands_options_and_values() -> None:
    assert complete("") == [*COMMANDS]
    assert complete("status", "--w") == ["--watch"]
    assert complete("sql", "--as", "") == ["engineer", "analyst"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_of_each_shell_asks_lake_for_completions(shell: str) -> None:
    done = subprocess.run([LAKE, "completion", shell], capture_output=True, text=True, check=True)
    assert f"_LAKE_COMPLETE={shell}_complete" in done.stdout
    if program := shutil.which(shell):
        subprocess.run([program, "-n", "/dev/stdin"], input=done.stdout, text=True, check=True)


def test_names_of_commands_are_completed_without_importing_any() -> None:
    program = (
        "import sys\nfrom lake_assets.cli import lake\nimport click\n"
        "items = lake.shell_complete(click.Context(lake), 's')\n"
        "print([item.value for item in items], [m for m in sys.modules if m.startswith('lake_assets.cli.')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['status', 'sql'] []"
