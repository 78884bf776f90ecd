"""The encoding of text that is not UTF-8."""

import re
from collections.abc import Sequence

WESTERN = "windows-1252"
# Bytes that windows-1252 does not define, and letters that are rare in text but frequent in binary data.
_NOT_WESTERN = frozenset(b"\x81\x8d\x8f\x90\x9d\xfe\xff")
_LETTER = r"[^\W\d_]"
# In Western text, letters beyond ASCII stand alone or in pairs, and hardly any sign stands between letters.
_SIGNS = bytes(
    {*range(0x82, 0x9C), *range(0xA1, 0xC0), 0xD7, 0xF7}
    - _NOT_WESTERN
    - set(b"\x83\x8a\x8c\x8e\x92\x96\x97\x9a\xad\xb7")  # letters, apostrophe, dashes, and what joins words
).decode(WESTERN)
_STRANGE = re.compile(rf"(?:(?![ -~]){_LETTER}){{3}}|{_LETTER}[{_SIGNS}]{_LETTER}")
# Damage is of few kinds.
_FEWEST_LETTERS = 5
_MOST_BYTES = 100_000
# Of Western lines, some have a name in capitals or a formula.
_TOLERATED = 0.1


def guess_encoding(lines: Sequence[bytes]) -> str | None:
    """Return the encoding of lines, none of which is UTF-8; None when no encoding explains them, as with damaged text.

    Western text is recognized by its letters; all other is left to `charset-normalizer`.
    """
    if not lines:
        return None
    if not any(_NOT_WESTERN & set(line) for line in lines):
        strange = sum(bool(_STRANGE.search(line.decode(WESTERN))) for line in lines)
        if strange <= len(lines) * _TOLERATED:
            return WESTERN
    if len({byte for line in lines for byte in line if byte > 0x7F}) < _FEWEST_LETTERS:
        return None
    from charset_normalizer import from_bytes

    best = from_bytes(b"\n".join(_first(lines))).best()
    if best is None or b"\n,;{}".decode(best.encoding, "replace") != "\n,;{}" or best.encoding.startswith("utf"):
        return None
    return re.sub(r"^cp(?=125\d$)", "windows-", best.encoding)


def _first(lines: Sequence[bytes]) -> list[bytes]:
    taken, size = list[bytes](), 0
    for line in lines:
        size += len(line)
        if taken and size > _MOST_BYTES:
            break
        taken.append(line[:_MOST_BYTES])
    return taken
