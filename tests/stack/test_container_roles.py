"""Roles that `roles` creates in a real Postgres."""

from pathlib import Path

import psycopg
import pytest

from lake_assets.home import Home
from lake_assets.settings import Settings
from lake_assets.stack.container import make_home, make_passwords, make_roles
from lake_assets.stack.passwords import read_passwords, write_common_passfile


def test_roles_can_be_created_twice_and_metabase_opens_only_its_database(
    stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres, layout = stack.postgres, Home(tmp_path / "home")
    given = Home(tmp_path / "given")
    given.secrets.mkdir(parents=True)
    write_common_passfile(given, postgres.host, postgres.port, read_passwords(Home(stack.home)))
    make_passwords(given, postgres.host, postgres.port)
    monkeypatch.setenv("LAKE_SECRETS", str(given.secrets))
    layout.home.mkdir()
    make_home(layout)
    for _ in range(2):
        make_roles(stack, layout)
    address = {
        "host": postgres.host,
        "port": postgres.port,
        "user": "metabase",
        "password": (given.secrets / "metabase").read_text("utf-8"),
    }
    with psycopg.connect(**address, dbname="metabase") as own:
        own.execute("create table made_by_metabase (id int)")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(**address, dbname=postgres.dbname)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(postgres.conninfo("analyst", "metabase"))
