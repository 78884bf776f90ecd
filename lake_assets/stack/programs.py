"""The programs of the stack, and supervisor's configuration file for them."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lake_assets.home import Home, HomeError, socket_path
from lake_assets.local_files import UMASK

# Text that supervisor's configuration file cannot quote.
UNQUOTABLE = re.compile(r"[\n\r]|\s[;#]")
UNQUOTABLE_IN_QUOTES = re.compile(r'["\n\r]|\s[;#]')
# Each process of a lake has its home in this variable, so that `down` finds all of them and no other.
OWNER_VARIABLE = "LAKE_STACK_OF"


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised process. `needs` names the parts that must answer before its first start."""

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 10


def render_config(layout: Home, programs: Iterable[Program]) -> str:
    """Render supervisord.conf for these programs. None starts automatically: `up` starts them in order of needs."""
    sections = [
        f"""[supervisord]
identifier = lake
directory = {_value(layout.home)}
pidfile = {_value(layout.supervisor_pid)}
logfile = {_value(layout.log("supervisor"))}
logfile_maxbytes = 5MB
logfile_backups = 2
childlogdir = {_value(layout.logs)}
minfds = 1024
umask = {UMASK:03o}

[unix_http_server]
file = {_value(socket_path(layout.home, "supervisor.sock"))}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
    ]
    sections += [_render_program(layout, program) for program in programs]
    return "\n".join(sections)


def _render_program(layout: Home, program: Program) -> str:
    # All parts log in one time zone, the lake's.
    environment = {**program.environment, "TZ": "UTC", OWNER_VARIABLE: str(layout.home)}
    pairs = ",".join(f'{name}="{_value(value, UNQUOTABLE_IN_QUOTES)}"' for name, value in sorted(environment.items()))
    lines = [
        f"[program:{program.name}]",
        f"command = {_value(shlex.join(program.command))}",
        f"environment = {pairs}",
        f"directory = {_value(program.directory or layout.home)}",
        f"umask = {UMASK:03o}",
        f"stdout_logfile = {_value(layout.log(program.name))}",
        "stdout_logfile_maxbytes = 20MB",
        "stdout_logfile_backups = 2",
        "redirect_stderr = true",
        "autostart = false",
        "autorestart = true",
        # A part whose dependency is down is retried for about 20 minutes.
        "startretries = 50",
        "startsecs = 2",
        f"stopsignal = {program.stop_signal}",
        f"stopwaitsecs = {program.stop_seconds}",
        "stopasgroup = true",
        "killasgroup = true",
    ]
    if program.user:
        lines.append(f"user = {program.user}")
    return "\n".join(lines) + "\n"


def _value(text: str | Path, forbidden: re.Pattern[str] = UNQUOTABLE) -> str:
    """Escape a value for supervisor, which expands `%(name)s`. Raises HomeError for text it cannot quote."""
    if forbidden.search(str(text)):
        raise HomeError(f"supervisord.conf cannot contain '{text}': remove quotes, line breaks and ' #', ' ;' from it.")
    return str(text).replace("%", "%%")
