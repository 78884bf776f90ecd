"""A part of the stack as its supervisor sees it, and the supervisor's configuration file."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lake_assets.home import Home, HomeError, socket_path

# What supervisor's configuration file has no way to quote.
UNCARRIED = re.compile(r"[\n\r]|\s[;#]")
UNCARRIED_IN_QUOTES = re.compile(r'["\n\r]|\s[;#]')
# Each process that belongs to a lake carries its home under this name, so that `down` finds all of them and no other.
OWNER_VARIABLE = "LAKE_STACK_OF"


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised process. `needs` names the parts that must answer before it is started the first time."""

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    user: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 10


def render_config(layout: Home, programs: Iterable[Program]) -> str:
    """supervisord.conf for these programs. Nothing starts by itself: `up` starts parts in order of their needs."""
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
    # One time zone for the logs of all parts, the lake's.
    environment = {**program.environment, "TZ": "UTC", OWNER_VARIABLE: str(layout.home)}
    pairs = ",".join(f'{name}="{_value(value, UNCARRIED_IN_QUOTES)}"' for name, value in sorted(environment.items()))
    lines = [
        f"[program:{program.name}]",
        f"command = {_value(shlex.join(program.command))}",
        f"environment = {pairs}",
        f"directory = {_value(program.directory or layout.home)}",
        f"stdout_logfile = {_value(layout.log(program.name))}",
        "stdout_logfile_maxbytes = 20MB",
        "stdout_logfile_backups = 2",
        "redirect_stderr = true",
        "autostart = false",
        "autorestart = true",
        # A part whose neighbour is down comes back when the neighbour does: it is tried for about 20 minutes.
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


def _value(text: str | Path, forbidden: re.Pattern[str] = UNCARRIED) -> str:
    """Escaped for supervisor, which expands `%(name)s` in each value. Raises HomeError for what it cannot carry."""
    if forbidden.search(str(text)):
        raise HomeError(f"The supervisor cannot be given '{text}': take quotes, line breaks and ' #', ' ;' out of it.")
    return str(text).replace("%", "%%")
