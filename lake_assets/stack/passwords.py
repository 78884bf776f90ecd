"""Generated passwords of the lake's Postgres roles, stored only in two files of mode 0600."""

import secrets
from pathlib import Path
from typing import get_args

from lake_assets.home import Home
from lake_assets.local_files import write_atomically
from lake_assets.settings import Role

ROLES: tuple[Role, ...] = get_args(Role)


def read_passwords(layout: Home) -> dict[str, str]:
    """Return the password of each role from the passfile; empty before the first start."""
    if not layout.passfile.exists():
        return {}
    lines = layout.passfile.read_text("utf-8").splitlines()
    return {role: password for _, _, _, role, password in (line.split(":") for line in lines if line)}


def keep_passwords(layout: Home, host: str, port: int) -> dict[str, str]:
    """Return the password of each role: existing ones, new ones where missing. Writes both files for this address."""
    existing = read_passwords(layout)
    # URL-safe characters: neither libpq's passfile nor a properties file needs an escape for them.
    passwords = {role: existing.get(role) or secrets.token_urlsafe(24) for role in ROLES}
    lines = [f"{host}:{port}:*:{role}:{password}" for role, password in passwords.items()]
    write_private(layout.passfile, "\n".join(lines) + "\n")
    write_private(layout.connect_secrets / "postgres.properties", f"user=connect\npassword={passwords['connect']}\n")
    return passwords


def write_private(path: Path, text: str | bytes) -> None:
    """Write a file atomically that others cannot read at any moment."""
    write_atomically(path, text, private=True)
