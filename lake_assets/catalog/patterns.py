"""Which regular expressions DuckDB's RE2 takes. Conservative: what is accepted here works there."""

import re
import warnings

_LONGEST = 1_000
_MOST_REPEATS = 1_000
_POSIX = re.compile(r"\[:\^?(?:alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit):\]")
_CLASS = re.compile(r"\\[pP](?:[LMNPSZC]|\{\^?[A-Z][A-Za-z_]*\})")
_REFUSED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\(\?<?[=!]"), "looks ahead or behind, which RE2 (DuckDB) cannot"),
    (re.compile(r"\(\?P=|\\[1-9]|\\g|\\k"), "refers back to a group, which RE2 (DuckDB) cannot"),
    (re.compile(r"[*+?}]\+"), "has a possessive quantifier, which RE2 (DuckDB) does not know"),
    (re.compile(r"\(\?(?!:|P<|[ims]+\)|[ims]+:)"), "has a group that RE2 (DuckDB) does not know; (?:...) is fine"),
    (re.compile(r"\\(?![dDwWsSbBAztnrfva.^$*+?()\[\]{}|\\/\-\"'#&~@%,:;<>=!`_ ])"),
     "has an escape that RE2 (DuckDB) reads differently or not at all"),
)  # fmt: skip


def pattern_problem(pattern: str) -> str | None:
    """Why RE2 would refuse a pattern (or read it differently), as the end of a sentence; None when it takes it."""
    if len(pattern) > _LONGEST:
        return f"is longer than {_LONGEST} characters."
    plain = _CLASS.sub("a", pattern)
    bare = plain.replace("\\\\", "xx")
    for refused, why in _REFUSED:
        if refused.search(bare):
            return f"{why}."
    if "[:" in _POSIX.sub("", plain) or "[[" in _POSIX.sub("a", plain):
        return "has '[' within a class; write it as \\[."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(_POSIX.sub("a", plain).replace("\\z", "\\Z"))
    except (re.error, Warning, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}."
    repeats = 1
    for least, most in re.findall(r"\{(\d+)(?:,(\d*))?\}", bare):
        repeats *= max(int(least), int(most or 1), 1)
    if repeats > _MOST_REPEATS:
        return f"repeats more than {_MOST_REPEATS} times, which RE2 (DuckDB) refuses."
    return None
