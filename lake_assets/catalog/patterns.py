"""Regular expressions that DuckDB's RE2 supports. Conservative: every accepted pattern works there."""

import re
import warnings

_LONGEST = 1_000
_LARGEST = 1_000
_POSIX = re.compile(r"\[:\^?(?:alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit):\]")
_CLASS = re.compile(
    r"\\[pP](?:[LMNPSZC]|\{\^?(?:L[ultmo]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?|"
    r"Latin|Greek|Cyrillic|Arabic|Hebrew|Han|Hiragana|Katakana|Hangul|Thai)\})"
)
_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]|\{(\d+)(?:,(\d*))?\}|.", re.DOTALL)
_EDGE = re.compile(r"\\[bBAz]")
# RE2 copies repeated parts: a class of Unicode is about ten times as large as a letter.
_CLASS_SIZE = 10
_REFUSED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\(\?<?[=!]"), "looks ahead or behind, which RE2 (DuckDB) cannot"),
    (re.compile(r"\(\?P=|\\[1-9]|\\g|\\k"), "refers back to a group, which RE2 (DuckDB) cannot"),
    (re.compile(r"[*+?}]\+"), "has a possessive quantifier, which RE2 (DuckDB) does not know"),
    (re.compile(r"\(\?(?!:|P<|[ims]+\)|[ims]+:)"), "has a group that RE2 (DuckDB) does not know; (?:...) is fine"),
    (re.compile(r"\\(?![dDwWsSbBAztnrfva.^$*+?()\[\]{}|\\/\-\"'#&~@%,:;<>=!`_ ])"),
     "has an escape that RE2 (DuckDB) reads differently or not at all"),
)  # fmt: skip


def pattern_problem(pattern: str) -> str | None:
    """Return the reason, as the end of a sentence, for which RE2 cannot read a pattern as Python does; else None."""
    if len(pattern) > _LONGEST:
        return f"is longer than {_LONGEST} characters."
    plain = _CLASS.sub("a", pattern)
    bare = plain.replace("\\\\", "xx")
    for refused, why in _REFUSED:
        if refused.search(bare):
            return f"{why}."
    if any(part[0].startswith("[") and _EDGE.search(part[0]) for part in _PIECE.finditer(bare)):
        return "has \\b, \\B, \\A or \\z within a class, where RE2 (DuckDB) knows none of them."
    if "[:" in _POSIX.sub("", plain) or "[[" in _POSIX.sub("a", plain):
        return "has '[' within a class; write it as \\[."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(_POSIX.sub("a", plain).replace("\\z", "\\Z"))
    except (re.error, Warning, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}."
    if _size(pattern) > _LARGEST:
        return f"repeats too much: written out it has more than {_LARGEST} parts, which RE2 (DuckDB) may refuse."
    return None


def _size(pattern: str) -> int:
    """Return the number of parts of a pattern when each {n,m} is expanded, as RE2 does."""
    groups = [0]
    last = 0
    for piece in _PIECE.finditer(_CLASS.sub("\0", pattern)):
        text = piece[0]
        if text == "(":
            groups.append(0)
            last = 0
        elif text == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif piece[1] is not None:
            # The part itself has been counted once.
            groups[-1] += last * (max(int(piece[1]), int(piece[2] or 1), 1) - 1)
        else:
            last = _CLASS_SIZE if "\0" in text else 1
            groups[-1] += last
    return sum(groups)
