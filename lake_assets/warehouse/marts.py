"""The lake's files in the dbt project: the generated sources, and the schemas of the marts."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from lake_assets.catalog.model import Asset
from lake_assets.compile.dbt_sources import dbt_files
from lake_assets.errors import LakeError
from lake_assets.local_files import replace_if_changed
from lake_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class DbtFile:
    """A generated file below `models/staging` of the dbt project."""

    path: Path
    name: PurePath
    text: str


def outdated_dbt_files(settings: Settings, assets: Iterable[Asset]) -> list[DbtFile]:
    """Return each asset's source and `stg_` model that is missing in the dbt project or has another text.

    Files of other assets stay: their tables stay too, and marts may still read them.
    """
    folder = settings.dbt_project / "models" / "staging"
    files = [DbtFile(folder / name, name, text) for asset in assets for name, text in dbt_files(asset).items()]
    return [file for file in files if not file.path.exists() or file.path.read_text("utf-8") != file.text]


def write_dbt_files(files: Iterable[DbtFile]) -> None:
    """Write these files; each is replaced atomically. Raises LakeError where the project may not be changed."""
    for file in files:
        try:
            replace_if_changed(file.path, file.text)
        except OSError as error:
            raise LakeError(
                f"{file.path} cannot be written ({error.strerror}): run `lake apply` on a copy of the project that you "
                "may change, and build the image from it."
            ) from error


def mart_schemas(settings: Settings) -> list[str]:
    """Return the mart schemas of the dbt project: each folder under `models/marts` is one."""
    folder = settings.dbt_project / "models" / "marts"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
