"""Causes of failed windows, and whether a retry can help."""

import re
from dataclasses import dataclass

# Names, places and numbers differ from window to window where the cause is the same.
_PARTICULAR = re.compile(r"""'[^']*'|"[^"]*"|[\w.:+-]*/\S+|\d+""")


@dataclass(frozen=True, slots=True)
class Cause:
    """Cause of a failed window, as one sentence. A retry cannot help when it is not `curable`.

    A window that was not `tried` itself waits, because others of its asset failed with this cause. One that may not be
    to blame is retried `at_once`, the first time.
    """

    sentence: str
    curable: bool = True
    tried: bool = True
    at_once: bool = False

    @property
    def kind(self) -> str:
        """The sentence without details of one window; equal for windows that fail with the same cause."""
        return kind(self.sentence)


# Of a run that died with all that it could have recorded.
DIED = Cause("its run ended without a result, as when its process is killed or runs out of memory")


def kind(sentence: str) -> str:
    """Return the sentence without its names, places and numbers."""
    return _PARTICULAR.sub("…", sentence)
