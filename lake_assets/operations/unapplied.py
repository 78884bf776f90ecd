"""Differences between the catalog's files and what is applied: they have no effect, and each is reported."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from lake_assets.catalog.problems import ContractError, Problem
from lake_assets.catalog.texts import Catalog
from lake_assets.dbt.boards import read_boards
from lake_assets.dbt.environment import manifest_path
from lake_assets.dbt.manifest import DbtProjectError, load_manifest, project_problem
from lake_assets.dbt.mart_reads import refused_models, stored_manifest
from lake_assets.errors import LakeError
from lake_assets.ledger.applied import read_applied
from lake_assets.ledger.ledger import Ledger
from lake_assets.operations.wanted import wanted_catalog
from lake_assets.project import read_files
from lake_assets.settings import Settings

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Unapplied:
    """Differences by name of contract or metric.

    `broken` has a sentence for each file that cannot be used and each model or chart that is left out. The files of
    `new` and `changed` ones are not applied; `missing` ones run without a file.
    """

    broken: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def sentences(self) -> list[str]:
        return list(self._sentences())

    def _sentences(self) -> Iterator[str]:
        yield from self.broken
        if self.new:
            yield f"Not applied, so nothing of it runs: {_shown(self.new)}. Apply with `lake apply`."
        if self.changed:
            yield (
                f"The file differs from what is applied, which runs on: {_shown(self.changed)}. "
                "See the change with `lake plan`, apply it with `lake apply`."
            )
        if self.missing:
            yield (
                f"The file is missing, what is applied runs on: {_shown(self.missing)}. "
                "Put it back, or see `lake remove`."
            )


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def unapplied(settings: Settings, applied: Catalog, wanted: Catalog | None = None) -> Unapplied:
    """Compare the files with the applied catalog. An unchanged file costs no more than reading it.

    `wanted` are the files without those whose change is refused, if that is known.
    """
    try:
        wanted = wanted or read_files(settings, applied)
    except ContractError as error:
        return Unapplied((*map(str, error.problems), *_models(settings, applied, applied)))
    models = tuple(_models(settings, applied, wanted))
    new: list[str] = []
    changed: list[str] = []
    for before, now in ((applied.assets, wanted.assets), (applied.metrics, wanted.metrics)):
        new += [name for name in now if name not in before]
        changed += [name for name in now if name in before and applied.text(before[name]) != wanted.text(now[name])]
    broken = [*(_sentence(problem, wanted, applied) for problem in wanted.problems), *map(str, applied.problems)]
    missing = [*wanted.without_file(applied), *(name for name in applied.metrics if name not in wanted.metrics)]
    return Unapplied((*broken, *models), tuple(new), tuple(changed), tuple(missing))


def edited(settings: Settings, applied: Catalog, name: str) -> str | None:
    """Return a sentence if an asset's file differs from its applied contract; for commands that people try it with."""
    if name not in unapplied(settings, applied).changed:
        return None
    return f"The file of {name} differs from what is applied, which judges: run `lake apply` first if it is to judge."


def refuse_left_out(settings: Settings) -> None:
    """Raise LakeError if plan and apply leave out a file because it cannot be used or its change is refused.

    Parses a dbt project that changed.
    """
    if manifest_path(settings).exists():
        with suppress(DbtProjectError):
            load_manifest(settings)
    with Ledger(settings) as ledger:
        applied = read_applied(ledger)
        wanted = wanted_catalog(settings, ledger, applied).catalog
    if broken := unapplied(settings, applied, wanted).broken:
        raise LakeError("left out, and all else is as above:" + "".join(f"\n  {sentence}" for sentence in broken))


def _sentence(problem: Problem, wanted: Catalog, applied: Catalog) -> str:
    name = wanted.left_out[problem.file]
    runs_on = name in applied.assets or name in applied.metrics
    return f"{problem}{f' What is applied of {name} runs on.' if runs_on else ''}"


def _models(settings: Settings, applied: Catalog, wanted: Catalog) -> Iterator[str]:
    """Yield the problems of the dbt project and its boards, as it was last parsed."""
    if problem := project_problem(settings):
        yield problem
    if manifest := stored_manifest(settings):
        yield from refused_models(manifest, applied.assets.values()).values()
        assets = {**applied.assets, **wanted.assets}
        yield from read_boards(manifest, {**applied.metrics, **wanted.metrics}, assets.values()).problems
