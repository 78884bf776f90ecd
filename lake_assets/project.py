"""Read the catalog folder from disk, for commands that write or apply contracts; runs use the applied texts."""

from collections.abc import Mapping
from pathlib import Path, PurePath

from lake_assets.catalog.problems import Problem
from lake_assets.catalog.texts import NONE, NOTHING, Catalog, read_texts
from lake_assets.parsed import parsed_contracts
from lake_assets.settings import Settings


def read_files(settings: Settings, applied: Catalog = NOTHING, refused: Mapping[PurePath, str] = NONE) -> Catalog:
    """Return the catalog in its files, laid over the applied one: see `read_texts`."""
    unreadable: list[Problem] = []
    contracts = _read_folder(settings.catalog / "assets", unreadable)
    metrics = _read_folder(settings.catalog / "metrics", unreadable)
    with parsed_contracts(settings.home, are_all=applied is NOTHING) as parse:
        return read_texts(contracts, metrics, applied, unreadable, refused, parse)


def _read_folder(folder: Path, unreadable: list[Problem]) -> Mapping[PurePath, str]:
    texts: dict[PurePath, str] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            texts[path] = path.read_text("utf-8")
        except UnicodeDecodeError as error:
            line = path.read_bytes()[: error.start].count(b"\n") + 1
            unreadable.append(Problem(path, line, "", "contains bytes that are not UTF-8; save it as UTF-8."))
        except OSError as error:
            unreadable.append(Problem(path, 1, "", f"cannot be read ({error.strerror}); fix that."))
    return texts
