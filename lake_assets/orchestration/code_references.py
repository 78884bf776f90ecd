"""Code references: the files of this machine that define an asset, which Dagster's page opens in an editor."""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath

import dagster as dg

warnings.filterwarnings("ignore", category=dg.BetaWarning, module=__name__)


def code_references(files: Iterable[tuple[str, PurePath]]) -> Mapping[str, dg.CodeReferencesMetadataValue]:
    """Return the metadata that names these files with their labels; none of files that are not on this machine.

    The text of an applied contract is in the ledger: its file may be in another clone, or in no clone at all.
    """
    found: list[dg.LocalFileCodeReference | dg.UrlCodeReference] = [
        dg.LocalFileCodeReference(file_path=str(path), label=label)
        for label, path in files
        if path.is_absolute() and Path(path).is_file()
    ]
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=found)} if found else {}
