"""Lakes on the servers of another lake, each with a database and a home of its own."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from lake_assets.home import Home
from lake_assets.settings import Settings
from lake_assets.stack.dagster import prepare_dagster
from lake_assets.stack.roles import bootstrap


def make_beside(servers: Settings, home: Path, database: str, bucket: str | None = None) -> Settings:
    """Make the home and the database. Dagster's database is shared."""
    settings = replace(
        servers,
        home=home,
        bucket=bucket or f"file://{home}/bucket",
        postgres=replace(servers.postgres, dbname=database),
    )
    bootstrap(settings.postgres, settings.postgres.conninfo("lake_admin", "postgres"), {}, embedded=True)
    layout = Home(home)
    layout.home.mkdir()
    layout.create()
    secrets = Home(servers.home).secrets
    for secret in [*secrets.glob("*"), *secrets.glob("connect/*")]:
        if secret.is_file():
            copy = layout.secrets / secret.relative_to(secrets)
            copy.parent.mkdir(exist_ok=True)
            shutil.copy2(secret, copy)
    addresses = json.loads((servers.home / "stack.json").read_text("utf-8"))
    own = {"postgres_dbname": database, "bucket": settings.bucket}
    layout.stack_file.write_text(json.dumps({**addresses, **own}), "utf-8")
    prepare_dagster(settings, layout)
    return settings
