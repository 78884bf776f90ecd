"""Generated passwords of the lake's Postgres roles: each in a passfile of its own, of mode 0600."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from lake_assets.home import Home
from lake_assets.local_files import write_atomically
from lake_assets.settings import Role

ROLES: tuple[Role, ...] = get_args(Role)


def read_passwords(layout: Home) -> dict[str, str]:
    """Return the password of each role from the passfiles; empty before the first start."""
    files = [layout.passfile, *(passfile_of(layout, role) for role in ROLES)]
    lines = [line for file in files if file.exists() for line in file.read_text("utf-8").splitlines()]
    return {role: password for _, _, _, role, password in (line.split(":") for line in lines if line)}


def passfile_of(layout: Home, role: Role) -> Path:
    """Return the passfile of one role, as `Postgres.passfile_of` finds it."""
    return layout.passfile.with_name(f"{layout.passfile.name}_{role}")


def keep_passwords(layout: Home, host: str, port: int) -> dict[str, str]:
    """Return the password of each role: existing ones, new ones where missing. Writes all files for this address.

    The one passfile of an older lake is removed, so that no process has the passwords of other roles.
    """
    existing = read_passwords(layout)
    # URL-safe characters: neither libpq's passfile nor a properties file needs an escape for them.
    passwords = {role: existing.get(role) or secrets.token_urlsafe(24) for role in ROLES}
    for role in ROLES:
        write_private(passfile_of(layout, role), _line(host, port, role, passwords[role]))
    layout.passfile.unlink(missing_ok=True)
    write_private(layout.connect_secrets / "postgres.properties", f"user=connect\npassword={passwords['connect']}\n")
    return passwords


def write_common_passfile(layout: Home, host: str, port: int, passwords: Mapping[str, str]) -> None:
    """Write the passfile with all roles, for containers: it also gives them the address of Postgres."""
    write_private(layout.passfile, "".join(_line(host, port, *pair) for pair in passwords.items()))


def _line(host: str, port: int, role: str, password: str) -> str:
    return f"{host}:{port}:*:{role}:{password}\n"


def write_private(path: Path, text: str | bytes) -> None:
    """Write a file atomically that others cannot read at any moment."""
    write_atomically(path, text, private=True)
