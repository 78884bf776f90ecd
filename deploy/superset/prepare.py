"""Prepare Superset's database, its administrator, the boards and the role of their readers, in one process.

Runs in Superset's virtual environment: `python prepare.py ASSETS`, with the folder of the assets' files.
"""

import os
import sys
from pathlib import Path
from typing import Any

from flask_migrate import upgrade
from superset.app import create_app

ADMIN = "admin"
READERS = "Lake readers"


def main(folder: Path) -> None:
    app = create_app()
    with app.app_context():
        import superset
        from superset import db, security_manager

        upgrade(directory=str(Path(superset.__file__).parent / "migrations"))
        superset.appbuilder.add_permissions(update_perms=True)
        security_manager.sync_role_definitions()
        admin = keep_admin(security_manager)
        import_assets(folder, admin)
        grant_readers(folder, security_manager, db.session)
        db.session.commit()


def keep_admin(security_manager: Any) -> Any:
    """Return the administrator, whose password is that of its file."""
    password = (Path(os.environ["SUPERSET_HOME"]) / "secrets" / "admin").read_text("utf-8")
    admin = security_manager.find_user(ADMIN)
    if admin is None:
        role = security_manager.find_role("Admin")
        return security_manager.add_user(ADMIN, "Lake", "Admin", "admin@localhost", role, password=password)
    security_manager.reset_password(admin.id, password)
    return admin


def import_assets(folder: Path, admin: Any) -> None:
    """Import all assets over those of the same identity, and remove those of the lake that are no longer there."""
    import yaml
    from superset import db
    from superset.commands.importers.v1.assets import ImportAssetsCommand
    from superset.connectors.sqla.models import SqlaTable
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice
    from superset.utils.core import override_user

    contents = {str(path.relative_to(folder)): path.read_text("utf-8") for path in sorted(folder.rglob("*.yaml"))}
    with override_user(admin, force=True):
        ImportAssetsCommand(contents).run()
    made_by = (folder / "made_by").read_text("utf-8")
    kept = {str(yaml.safe_load(text).get("uuid")) for text in contents.values()}
    for kind in (Dashboard, Slice, SqlaTable):
        for row in db.session.query(kind).filter_by(external_url=made_by):
            if str(row.uuid) not in kept:
                db.session.delete(row)
    db.session.commit()


def grant_readers(folder: Path, security_manager: Any, session: Any) -> None:
    """Let the role of readers see the boards: the lake's datasets and no other."""
    from superset.connectors.sqla.models import SqlaTable

    role = security_manager.add_role(READERS)
    made_by = (folder / "made_by").read_text("utf-8")
    datasets = session.query(SqlaTable).filter_by(external_url=made_by)
    role.permissions = [
        security_manager.add_permission_view_menu("datasource_access", dataset.get_perm()) for dataset in datasets
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
