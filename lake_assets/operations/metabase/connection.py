"""The lake's Postgres among the databases that a Metabase is connected to."""

from lake_assets.errors import LakeError
from lake_assets.operations.metabase.client import Metabase
from lake_assets.operations.metabase.differences import Answer
from lake_assets.settings import Postgres

# The role by which Metabase reads.
ROLE = "analyst"


def find_database(metabase: Metabase, postgres: Postgres) -> int:
    """Return Metabase's id of the lake's Postgres, read as role analyst. Raises LakeError."""
    databases: list[Answer] = metabase.get("/api/database/")["data"]
    found = [database for database in databases if _is_lake(database, postgres)]
    if len(found) > 1:
        # Only a tie-break, because Metabase may reach the server by another name than the lake does.
        here = (postgres.host, postgres.port)
        found = [each for each in found if (each["details"].get("host"), each["details"].get("port")) == here] or found
    if len(found) > 1:
        names = ", ".join(sorted(str(each["name"]) for each in found))
        raise LakeError(
            f"Metabase at {metabase.url} has several databases with database name {postgres.dbname} and user {ROLE} "
            f"({names}): remove all but the lake's."
        )
    if not found:
        raise LakeError(
            f"Metabase at {metabase.url} is not connected to the lake's Postgres: add a database of type PostgreSQL "
            f"with database name {postgres.dbname} and user {ROLE}, as docs/dashboards.md describes."
        )
    return found[0]["id"]


def _is_lake(database: Answer, postgres: Postgres) -> bool:
    details: Answer = database.get("details") or {}
    wanted = ("postgres", postgres.dbname, ROLE)
    return (database["engine"], details.get("dbname"), details.get("user")) == wanted
