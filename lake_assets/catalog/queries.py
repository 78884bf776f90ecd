"""Restrict the query of an sql check to the one relation that it may read."""

import re

RELATION = "conformed"

_TOKEN = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[A-Za-z_][A-Za-z0-9_$]*|\S", re.DOTALL)
_ENDS_FROM = frozenset({
    "where", "group", "order", "having", "limit", "offset", "qualify", "window", "union", "intersect", "except",
    "select", "returning",
})  # fmt: skip
_FROM_AS_WORD = frozenset({"extract", "substring", "trim", "overlay", "position"})
_DISTINCT_FROM = "distinct"


def query_problem(query: str) -> str | None:
    """Return the reason for which a check's query is invalid; None when it is one select over `conformed` alone."""
    tokens = [token for token in _TOKEN.findall(query) if not token.startswith(("--", "/*"))]
    words = [token.lower() for token in tokens]
    if not words or words[0] not in ("select", "with"):
        return "a check is one select that yields one number."
    if ";" in words:
        return "a check is one statement; remove the semicolon."
    if words.count("(") != words.count(")"):
        return "the parentheses do not match."
    known = {RELATION} | _named_queries(words)
    read = _relations(words)
    for relation in read:
        if relation not in known:
            return f"{relation} is not known: a check reads '{RELATION}' (the window's good rows) and nothing else."
    if RELATION not in read:
        return f"the query must read '{RELATION}', the window's good rows."
    return None


def _named_queries(words: list[str]) -> set[str]:
    """Return the names of the query's common table expressions: `with NAME as (`."""
    return {
        words[at]
        for at in range(1, len(words) - 2)
        if words[at + 1] == "as" and words[at + 2] == "(" and words[at - 1] in ("with", "recursive", ",")
    }


def _relations(words: list[str]) -> list[str]:
    """Return every relation in a from-clause, texts and functions included; a sub-select in parentheses is none."""
    relations: list[str] = []
    # For each open parenthesis: are we in a from-clause, and is this the inside of extract(... from ...)?
    clauses: list[bool] = [False]
    functions: list[bool] = [False]
    expecting = False
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        if word == "(":
            clauses.append(expecting)
            functions.append(before in _FROM_AS_WORD)
            # A parenthesis where a relation is due opens a sub-select or a joined relation.
            continue
        if word == ")":
            if len(clauses) > 1:
                clauses.pop()
                functions.pop()
            expecting = False
        elif word == "from" and not functions[-1] and before != _DISTINCT_FROM:
            clauses[-1], expecting = True, True
        elif word == "join" or (word == "," and clauses[-1]):
            expecting = True
        elif word in _ENDS_FROM:
            clauses[-1], expecting = False, False
        elif expecting and word != "lateral":
            relations.append("".join(words[at : at + 3]) if words[at + 1 : at + 2] == ["."] else word)
            expecting = False
    return relations
