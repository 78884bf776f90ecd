"""Quoting for the SQL that is compiled from contracts: nothing from a contract reaches SQL in another way."""


def identifier(name: str) -> str:
    """A double-quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A single-quoted string literal."""
    return "'" + text.replace("'", "''") + "'"


def indent(text: str, spaces: int) -> str:
    """The text with every line but the first moved right."""
    return text.replace("\n", "\n" + " " * spaces)
