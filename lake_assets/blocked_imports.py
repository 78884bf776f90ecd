"""Block imports that large modules make of other large modules which this lake never uses.

Every `lake` command is its own process, so imports take most of its time.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Hidden:
    """An importer that runs first and reports one module as missing."""

    def __init__(self, module: str) -> None:
        self._module = module

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == self._module:
            raise ModuleNotFoundError(f"the import of '{name}' is blocked here", name=name)


@contextmanager
def blocked_import(module: str) -> Iterator[None]:
    """Make imports of the module fail inside the block; has no effect if it is already loaded, at no further cost."""
    hidden = _Hidden(module)
    sys.meta_path.insert(0, hidden)
    try:
        yield
    finally:
        sys.meta_path.remove(hidden)
