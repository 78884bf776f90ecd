"""Who may read the marts, as statements that can be run again and again. Nothing else is granted to analysts."""

import re
from collections.abc import Iterable

from lake_assets.errors import LakeError

OWNER = "lake"
READER = "analyst"
_MART_SCHEMA = re.compile(r"[a-z][a-z0-9_]*_data_mart")


class MartNameError(LakeError):
    """A mart's schema has a name that analysts must not be granted."""


def mart_grants(schemas: Iterable[str]) -> list[str]:
    """Makes each mart schema and lets the analyst read all in it, now and after every rebuild. Raises MartNameError.

    A rebuilt mart is a new table, which knows nothing of the old one's grants: the default privileges give them to it
    in the moment it is made. They hold for tables that the owner makes, so all marts are built by that one role.
    """
    statements: list[str] = []
    for schema in schemas:
        check_mart_schema(schema)
        statements += [
            f"create schema if not exists {schema} authorization {OWNER}",
            f"grant usage on schema {schema} to {READER}",
            f"grant select on all tables in schema {schema} to {READER}",
            f"alter default privileges for role {OWNER} in schema {schema} grant select on tables to {READER}",
        ]
    return statements


def check_mart_schema(schema: str) -> None:
    """Raises MartNameError for a schema that analysts must not be granted."""
    if not _MART_SCHEMA.fullmatch(schema):
        raise MartNameError(
            f"analysts read the mart schemas only, so '{schema}' must be named like 'funnel_data_mart'; "
            f"rename its folder under models/marts."
        )
