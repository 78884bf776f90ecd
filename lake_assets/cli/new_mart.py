"""`lake new-mart`: the first files of a mart, from the contracts of what it reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lake_assets.errors import LakeError

if TYPE_CHECKING:
    from lake_assets.catalog.model import Asset
    from lake_assets.catalog.texts import Catalog
    from lake_assets.settings import Settings

_SCHEMA = "{}_data_mart"
# The schema's name is longer, and Postgres cuts a name at 63 characters.
_LONGEST = 63 - len(_SCHEMA.format(""))


class NewMartError(LakeError):
    """Raised when a mart's files cannot be written; the message names the change to make."""


@click.command(name="new-mart")
@click.argument("name")
@click.option("--from", "models", metavar="MODELS", help="Models to read, with commas between: stg_leads,stg_sales.")
@click.option("--json", "as_json", is_flag=True, help="Print files, joins and lines to fill in as JSON.")
def command(name: str, *, models: str | None, as_json: bool) -> None:
    """Write the SQL and the YAML of a new mart NAME, from the contracts of the models that it reads.

    \b
    lake new-mart signed_leads --from stg_contracts,stg_leads

    The mart has all columns that marts may have, with types and descriptions of the contracts, an owner, a grain, a
    unit test and an exposure. It can be built as it is: make it the mart that you need from there.

    Models are joined where a contract proves that the join adds no rows: one model has all fields of the other's key,
    with their names and types. Names such as `id` prove nothing. Other joins are left to you, in comments.

    The output lists the lines with FILL IN. Needs no running stack. docs/write-a-mart.md has the next steps.
    """
    from lake_assets.compile.new_mart import FILL_IN, new_mart
    from lake_assets.project import read_files
    from lake_assets.settings import load_settings

    if not models:
        raise NewMartError("a mart reads models: name them with --from stg_ASSET, or several with commas between.")
    settings = load_settings()
    _check_name(settings, name)
    assets = _find_assets(settings, read_files(settings), models.split(","))
    mart = new_mart(name, assets)
    stem = settings.dbt_project / "models" / "marts" / _SCHEMA.format(name) / name
    texts = {stem.with_suffix(".sql"): mart.sql, stem.with_suffix(".yml"): mart.yaml}
    _write(texts)
    places = [
        (f"{_shown(path)}:{number}", line.partition(FILL_IN)[2].lstrip(": "))
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if FILL_IN in line
    ]
    if as_json:
        from lake_assets.cli.tables import show_json

        show_json({
            "files": [str(path) for path in texts],
            "joined": mart.joined,
            "unjoined": mart.unjoined,
            "left_out": mart.left_out,
            "fill_in": [{"place": place, "text": text} for place, text in places],
        })  # fmt: skip
        return
    for join in mart.joined:
        click.echo(f"Joined {join}.")
    if mart.unjoined:
        click.echo(f"Not joined, because no common key proves how: {', '.join(mart.unjoined)}.")
    if mart.left_out:
        click.echo(f"Left out, because marts may not have what is confidential: {', '.join(mart.left_out)}.")
    click.echo("Fill in:")
    for place, text in places:
        click.echo(f"  {place}  {text}")
    click.echo(
        f"Wrote {' and '.join(map(_shown, texts))}. Next: `lake apply`, then `lake-dbt test --select "
        f"{name},test_type:unit`, then `lake run`."
    )


def _check_name(settings: Settings, name: str) -> None:
    from lake_assets.catalog.names import name_problem

    problem = name_problem(name, _LONGEST)
    if problem:
        # The hint about payload keys is for fields.
        sentence = problem.replace(" (a field keeps its key in physicalName)", "")
        raise NewMartError(f"'{name}' cannot be the name of a mart: it {sentence}")
    if name.startswith("stg_"):
        raise NewMartError(f"'{name}' cannot be the name of a mart: models of contracts begin with 'stg_'.")
    folder = settings.dbt_project / "models"
    for path in sorted(folder.rglob("*")):
        if path.stem == name and path.suffix in (".sql", ".py", ".yml"):
            raise NewMartError(f"{_shown(path)} exists already: edit it, delete it, or choose another name.")


def _find_assets(settings: Settings, catalog: Catalog, models: list[str]) -> list[Asset]:
    from lake_assets.catalog.problems import closest
    from lake_assets.compile.dbt_sources import staging_model

    known = {staging_model(asset): asset for asset in catalog.assets.values()}
    names = [model.strip() for model in models]
    for name in names:
        if name in known:
            if not any(field.is_shown for field in known[name].fields):
                raise NewMartError(f"{name} has no column that marts may have: choose another model.")
            continue
        for path, left_out in catalog.left_out.items():
            if name == f"stg_{left_out}":
                problem = next(str(problem) for problem in catalog.problems if problem.file == path)
                raise NewMartError(f"the contract of {name} is invalid: {problem}")
        near = closest(name, known) or (f"stg_{name}" if f"stg_{name}" in known else None)
        hint = f"did you mean '{near}'?" if near else f"the models are: {', '.join(known) or 'none yet'}."
        raise NewMartError(f"no contract has a model '{name}': {hint}")
    if len(set(names)) < len(names):
        raise NewMartError("--from names a model twice: name each once.")
    return [known[name] for name in names]


def _write(texts: dict[Path, str]) -> None:
    written: list[Path] = []
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        # One file without the other would be a mart without a contract.
        for path in written:
            path.unlink()
        raise NewMartError(f"{_shown(next(iter(texts)))} cannot be written ({error.strerror}).") from None


def _shown(path: Path) -> str:
    """Return the path relative to the working directory, if it is below it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
