"""Quoting for the SQL that is compiled from contracts: nothing from a contract reaches SQL in another way.

A contract's names begin with a letter. In every scope that holds a contract's columns, each other name (column, alias
that qualifies, lambda parameter) begins with an underscore: the two can never meet.
"""


def identifier(name: str) -> str:
    """A double-quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def judged_column(name: str) -> str:
    """A field as a column of `judged`, double-quoted.

    There DuckDB's own `rowid` tells equal rows apart, which a column of that name would hide.
    """
    return identifier("_rowid" if name.lower() == "rowid" else name)


def literal(text: str) -> str:
    """A single-quoted string literal."""
    return "'" + text.replace("'", "''") + "'"


def indent(text: str, spaces: int) -> str:
    """The text with every line but the first moved right."""
    return text.replace("\n", "\n" + " " * spaces)
