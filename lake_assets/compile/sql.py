"""Quoting for the SQL that is compiled from contracts: text of a contract reaches SQL in no other way.

A contract's names begin with a letter. In every scope with a contract's columns, all other names (columns, qualifying
aliases, lambda parameters) begin with an underscore, so that they cannot collide.
"""


def identifier(name: str) -> str:
    """Return a double-quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def judged_column(name: str) -> str:
    """Return a field as a column of `judged`, double-quoted.

    In `judged` DuckDB's own `rowid` identifies equal rows, which a column of that name would hide.
    """
    return identifier("_rowid" if name.lower() == "rowid" else name)


def literal(text: str) -> str:
    """Return a single-quoted string literal."""
    return "'" + text.replace("'", "''") + "'"


def indent(text: str, spaces: int) -> str:
    """Return the text with every line but the first indented."""
    return text.replace("\n", "\n" + " " * spaces)
