"""Read access to the marts, as idempotent statements. Analysts get no other grants."""

import re
from collections.abc import Iterable

from lake_assets.errors import LakeError

OWNER = "lake"
READER = "analyst"
_MART_SCHEMA = re.compile(r"[a-z][a-z0-9_]*_data_mart")


class MartNameError(LakeError):
    """A mart's schema has a name that must not be granted to analysts."""


def mart_grants(schemas: Iterable[str]) -> list[str]:
    """Create each mart schema and grant the analyst read access, now and after every rebuild. Raises MartNameError.

    A rebuilt mart is a new table without the old one's grants: default privileges grant them when it is created. They
    cover tables of that owner only, so all marts are built by that one role.
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
    """Raise MartNameError for a schema that must not be granted to analysts."""
    if not _MART_SCHEMA.fullmatch(schema):
        raise MartNameError(
            f"analysts read the mart schemas only, so '{schema}' must be named like 'funnel_data_mart'; "
            f"rename its folder under models/marts."
        )
