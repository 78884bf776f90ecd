"""Text of payloads for a terminal: control characters are shown, never obeyed."""

import re

# C0 and C1 without tab and line feed, DEL, line separators, and marks that change the direction of text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Replace each control character by its escape, such as `\\x1b`: it could recolour, hide or retype a line."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
