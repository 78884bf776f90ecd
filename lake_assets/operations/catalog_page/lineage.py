"""Lineage of columns: the columns of tables that each column of a compiled query is computed from, by sqlglot."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.lineage import Node, lineage  # pyright: ignore[reportUnknownVariableType]
from sqlglot.schema import MappingSchema

STAR = "*"


@dataclass(frozen=True, slots=True, order=True)
class TableColumn:
    """A column of a table outside of the query, in the database's spelling; the column is `*` for all of them."""

    schema: str
    table: str
    column: str


@dataclass(frozen=True, slots=True)
class KnownTable:
    """A table and its columns, for stars and for columns without a table's name."""

    database: str
    schema: str
    name: str
    columns: tuple[str, ...]


class UnknownLineage(Exception):
    """The query cannot be analysed; the message is a sentence."""


class Tables:
    """Tables that queries may read, in one SQL dialect of sqlglot."""

    def __init__(self, tables: Iterable[KnownTable], dialect: str) -> None:
        self._dialect = dialect
        self._schema = MappingSchema(dialect=dialect)
        for table in tables:
            name = exp.table_(table.name, table.schema, table.database, quoted=True)
            columns = dict.fromkeys(table.columns, "varchar")
            self._schema.add_table(name, columns, dialect=dialect, match_depth=False)

    def column_sources(self, query: str) -> Mapping[str, tuple[TableColumn, ...] | None]:
        """Return the sources of each column of a query in order, by the column's name.

        A count of rows and a constant have none. None stands for a column that no table could be found for. Raises
        UnknownLineage.
        """
        try:
            columns = lineage(None, query, self._schema, dialect=self._dialect, trim_selects=False)
            return {name: _sources(node) for name, node in columns.items()}
        # SQL that DuckDB accepts may fail in sqlglot in any way, and one model must not stop the page.
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise UnknownLineage(f"sqlglot cannot analyse the compiled SQL: {reason}") from error

    def read_tables(self, query: str) -> set[tuple[str, str]]:
        """Return schema and name of the tables that a query names; none if it cannot be parsed."""
        try:
            trees = sqlglot.parse(query, dialect=self._dialect)
        except Exception:  # as above
            return set()
        return {(table.db, table.name) for tree in trees if tree for table in tree.find_all(exp.Table) if table.db}


def _sources(node: Node) -> tuple[TableColumn, ...] | None:
    sources: set[TableColumn] = set()
    for part in node.walk():
        if isinstance(part.expression, exp.Placeholder):
            return None
        if isinstance(part.expression, exp.Table):
            table = part.expression
            # The name is SQL: a quoted column may contain dots.
            column = STAR if part.name == STAR else exp.to_column(part.name).name
            sources.add(TableColumn(table.db, table.name, column))
    return tuple(sorted(sources))
