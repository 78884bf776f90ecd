"""Parsed contracts, kept in the lake's folder by the hash of their texts: parsing one takes 4 ms."""

import hashlib
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import lake_assets.catalog
from lake_assets.catalog.model import Asset, Check, Field, FieldType, QuarantineBudget, Retention
from lake_assets.catalog.parse import parse_contract
from lake_assets.local_files import write_atomically

Parse = Callable[[str, PurePath], Asset]
# Texts that the file may hold for each that is used.
_KEPT_TIMES = 3
_PARTS = {
    (kind.__module__, kind.__qualname__)
    for kind in (Asset, Check, Field, FieldType, QuarantineBudget, Retention, timedelta, Decimal, type(PurePath()))
}


class _OnlyAssets(pickle.Unpickler):  # noqa: S301 - it restricts what is loaded
    """Load nothing that an asset does not consist of, for any writer of the file."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) not in _PARTS:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} is no part of an asset")
        return super().find_class(module_name, global_name)


@contextmanager
def parsed_contracts(home: Path, *, are_all: bool) -> Iterator[Parse]:
    """Yield `parse_contract`, which parses a text only once for this lake and this version of the parser.

    The file is kept beside the lake's state, and can be deleted at any time. `are_all` is True if all texts of a
    catalog are parsed here: older ones are then dropped when they become many. It is False if only some of them are,
    because the others are known.
    """
    path = home / "parsed" / f"{_parser()}.pickle"
    # Not before it is needed: with all texts known from elsewhere, it is not.
    known = lru_cache(lambda: _read(path))
    used: dict[str, Asset] = {}

    def parse(text: str, file: PurePath) -> Asset:
        digest = hashlib.sha256(text.encode()).hexdigest()
        asset = used.get(digest) or known().get(digest)
        used[digest] = asset or replace(parse_contract(text, file), path=PurePath())
        return replace(used[digest], path=file)

    yield parse
    if not used or not home.is_dir():
        return
    # Twice as many as are used now: a command reads the files, too, and what runs reads what is applied.
    too_many = are_all and len(known()) > _KEPT_TIMES * len(used) + _KEPT_TIMES
    if too_many or not used.keys() <= known().keys():
        others = [item for item in known().items() if item[0] not in used]
        with suppress(OSError):
            _write(path, dict(others[-len(used) :] if are_all else others) | used)


@lru_cache
def _parser() -> str:
    """Return a name for this version of the parser, which changes with each file of it."""
    folder = Path(lake_assets.catalog.__path__[0])
    files = sorted((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in folder.glob("*.py"))
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16]


def _read(path: Path) -> Mapping[str, Asset]:
    """Return what the file holds; nothing where it cannot be read, since it can be written again."""
    try:
        found = path.stat()
    except OSError:
        return {}
    return _read_once(path, found.st_ino, found.st_mtime_ns)


# A command reads its files and the applied catalog several times: 0.2 s each with a thousand contracts.
@lru_cache(maxsize=1)
def _read_once(path: Path, _inode: int, _changed: int) -> Mapping[str, Asset]:
    """Return what this version of the file holds. It is replaced, never written to."""
    try:
        with path.open("rb") as file:
            return _OnlyAssets(file).load()
    except (OSError, EOFError, ValueError, TypeError, AttributeError, ImportError, IndexError, KeyError):
        return {}
    except pickle.UnpicklingError:
        return {}


def _write(path: Path, assets: dict[str, Asset]) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_atomically(path, pickle.dumps(assets, pickle.HIGHEST_PROTOCOL), private=True, durable=False)
    for other in path.parent.glob("*.pickle"):
        if other != path:
            other.unlink(missing_ok=True)
