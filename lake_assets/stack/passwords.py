"""Generated passwords of the lake's Postgres roles and Kafka users: each in files of its own, of mode 0600."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from lake_assets.home import Home
from lake_assets.kafka_security import LAKE_USER, PRODUCER, embedded_access, java_options, librdkafka_options
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


def read_kafka_passwords(layout: Home) -> dict[str, str]:
    """Return the password of each user of the embedded broker; empty before the first start."""
    if not layout.kafka_users.exists():
        return {}
    lines = layout.kafka_users.read_text("utf-8").splitlines()
    return {user: password for user, _, password in (line.partition("=") for line in lines)}


def keep_kafka_passwords(layout: Home, kafka: str) -> None:
    """Write the password of each user of the embedded broker: existing ones, new ones where missing.

    The broker, the lake's clients and Kafka Connect have files of their own. For other programs there are complete
    configurations of a client of each user, for the broker at the address `kafka`.
    """
    existing = read_kafka_passwords(layout)
    passwords = {user: existing.get(user) or secrets.token_urlsafe(24) for user in (LAKE_USER, PRODUCER)}
    write_private(layout.kafka_users, _properties(passwords))
    write_private(layout.kafka_password, passwords[LAKE_USER])
    write_private(layout.connect_secrets / "kafka.properties", _properties({"password": passwords[LAKE_USER]}))
    for user, password in passwords.items():
        access, folder = embedded_access(user, layout.kafka_users), layout.kafka_clients(user)
        folder.mkdir(mode=0o700, exist_ok=True)
        for file, options in (
            ("librdkafka.properties", librdkafka_options(access, password)),
            ("java.properties", java_options(access, password)),
        ):
            write_private(folder / file, _properties({"bootstrap.servers": kafka, **options}))


def _properties(values: Mapping[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())


def write_private(path: Path, text: str | bytes) -> None:
    """Write a file atomically that others cannot read at any moment."""
    write_atomically(path, text, private=True)
