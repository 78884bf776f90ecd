"""Changes of Metabase's permissions, so that a group of readers sees the boards and the schemas of marts. Pure.

Only the lake's own group, collections and database are in a change; Metabase leaves alone what is not.
"""

from collections.abc import Collection, Mapping
from typing import Any

READERS = "Lake readers"
# The group of all people of a Metabase. A new collection is open to it.
EVERYBODY = "all-internal-users"
_QUERIES = "create-queries"
_ALLOWED = "query-builder"

Graph = Mapping[str, Any]
Change = dict[str, dict[str, Any]]


def collection_changes(graph: Graph, collections: Collection[int], readers: int, everybody: int | None) -> Change:
    """Return the rights to the boards' collections that differ, by group and collection.

    Readers may read them, and the group of all people has no right by itself. Rights that an administrator gives to
    other groups stay.
    """
    changes: Change = {}
    for collection in map(str, collections):
        if _rights(graph, readers).get(collection) != "read":
            changes.setdefault(str(readers), {})[collection] = "read"
        if everybody is not None and collection in _rights(graph, everybody):
            changes.setdefault(str(everybody), {})[collection] = "none"
    return changes


def data_changes(graph: Graph, database: int, readers: int, schemas: Collection[str], known: Collection[str]) -> Change:
    """Return the rights of the readers to the lake's database that differ, by group and database.

    They ask questions of their own about the mart `schemas` by Metabase's query builder, and none in SQL. `known` are
    the schemas that Metabase has synced: rights to others cannot be given yet.
    """
    if not known:
        return {}
    wanted = {schema: _ALLOWED for schema in schemas if schema in known}
    there: Mapping[str, Any] | str = _rights(graph, readers).get(str(database), {}).get(_QUERIES, {})
    if not isinstance(there, str) and {schema: right for schema, right in there.items() if right != "no"} == wanted:
        return {}
    return {str(readers): {str(database): {_QUERIES: {schema: wanted.get(schema, "no") for schema in sorted(known)}}}}


def is_open(graph: Graph, database: int, everybody: int) -> bool:
    """Return whether all people of the Metabase may ask questions about the lake's database."""
    return bool(_rights(graph, everybody).get(str(database), {}).get(_QUERIES, "no") != "no")


def _rights(graph: Graph, group: int) -> Mapping[str, Any]:
    return graph["groups"].get(str(group)) or {}
