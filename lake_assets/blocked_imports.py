"""Imports of large modules that take along other large modules which this lake never uses.

Every `lake` command is a process of its own, so what it imports is most of what it takes.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Hidden:
    """The importer that is asked first, and says of one module that there is none."""

    def __init__(self, module: str) -> None:
        self._module = module

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == self._module:
            raise ModuleNotFoundError(f"'{name}' is out of sight here", name=name)


@contextmanager
def out_of_sight(module: str) -> Iterator[None]:
    """Imports of the module fail inside; nothing happens when it is loaded already, because then the cost is paid."""
    hidden = _Hidden(module)
    sys.meta_path.insert(0, hidden)
    try:
        yield
    finally:
        sys.meta_path.remove(hidden)
