"""Tables and functions that a SELECT names, by DuckDB's own parser: what it reads cannot be hidden in its spelling."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from lake_assets.errors import LakeError

if TYPE_CHECKING:
    import duckdb


class NotASelect(LakeError):
    """A text that is not one SELECT statement of DuckDB."""


@dataclass(frozen=True, slots=True)
class TableName:
    """A table as a query names it; a part that it leaves out is empty. `line` counts from 1."""

    catalog: str
    schema: str
    name: str
    line: int

    def __str__(self) -> str:
        return ".".join(part for part in (self.catalog, self.schema, self.name) if part)


@dataclass(frozen=True, slots=True)
class FunctionName:
    """A function as a query calls it, in lower case. `is_table` is True in a FROM clause."""

    name: str
    line: int
    is_table: bool


@dataclass(frozen=True, slots=True)
class Select:
    """All tables and functions of a query, without its own common table expressions."""

    tables: tuple[TableName, ...]
    functions: tuple[FunctionName, ...]


def parse_select(query: str, trusted: frozenset[str] = frozenset()) -> Select:
    """Return what a query names. Raises NotASelect.

    Common table expressions with a `trusted` name are left out together with what they read.
    """
    # No parameter: DuckDB would import pandas for it.
    text = query.replace("'", "''")
    [(answer,)] = _parser().cursor().execute(f"select json_serialize_sql('{text}')").fetchall()
    tree = json.loads(answer)
    if tree["error"]:
        reason = str(tree["error_message"]).rstrip(".!")
        raise NotASelect(reason if tree["error_type"] == "parser" else f"not one SELECT ({reason})")
    if len(tree["statements"]) != 1:
        raise NotASelect("not one SELECT but several")
    own: set[str] = set()
    nodes = list(_nodes(tree["statements"][0], trusted, own))
    content = query.encode()

    def line(node: dict[str, Any]) -> int:
        return content.count(b"\n", 0, min(node.get("query_location", 0), len(content))) + 1

    tables = tuple(
        TableName(node["catalog_name"], node["schema_name"], node["table_name"], line(node))
        for node in nodes
        if node.get("type") == "BASE_TABLE"
        and (node["schema_name"] or node["catalog_name"] or node["table_name"].lower() not in own)
    )
    called = [node["function"] for node in nodes if node.get("type") == "TABLE_FUNCTION"]
    functions = tuple(
        FunctionName(node["function_name"].lower(), line(node), any(node is one for one in called))
        for node in nodes
        if "function_name" in node
    )
    return Select(tables, functions)


@cache
def _parser() -> "duckdb.DuckDBPyConnection":
    """Return the database that parses, opened once: it takes 20 ms of CPU."""
    import duckdb

    return duckdb.connect(config={"threads": 1})


def _nodes(tree: Any, trusted: frozenset[str], own: set[str]) -> Iterator[dict[str, Any]]:
    """Yield every object of the tree, and add the names of its common table expressions to `own`."""
    if isinstance(tree, list):
        for part in tree:
            yield from _nodes(part, trusted, own)
    elif isinstance(tree, dict):
        yield tree
        for key, part in tree.items():
            if key == "cte_map":
                for entry in part["map"]:
                    own.add(entry["key"].lower())
                    if entry["key"] not in trusted:
                        yield from _nodes(entry["value"], trusted, own)
            else:
                yield from _nodes(part, trusted, own)
