"""`lake new`: infer a contract from a sample, and show every decision."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lake_assets.errors import LakeError

if TYPE_CHECKING:
    from lake_assets.catalog.infer import Inferred
    from lake_assets.catalog.sample import Sample

_MOST_BYTES = 8 * 1024 * 1024


class NewError(LakeError):
    """Raised when a contract cannot be written; the message names the change to make."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An inferred contract and the file for it, with the sample it was inferred from, or its first rows."""

    target: Path
    text: str
    inferred: Inferred
    sample: Sample
    sample_is_whole: bool


@click.command(name="new")
@click.argument("name")
@click.option(
    "--from", "sample_file", metavar="FILE", multiple=True, help="Sample file, or a pattern of files; - is stdin."
)
@click.option("--evolve", is_flag=True, help="Propose fields that payloads have and the contract of NAME lacks.")
@click.option("--domain", default="main", show_default=True, help="Domain of the data; the topic is DOMAIN.NAME.")
@click.option("--owner", metavar="EMAIL", help="Owner of the data. Without it, edit the contract later.")
@click.option("--event-time", metavar="COLUMN", help="Event time column for windows, instead of the inferred one.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file, not to the catalog.")
@click.option("--json", "as_json", is_flag=True, help="Print the decisions as JSON.")
def command(
    name: str,
    *,
    sample_file: tuple[str, ...],
    evolve: bool,
    domain: str,
    owner: str | None,
    event_time: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Infer a contract for a new asset NAME from a sample, and write it to the catalog.

    \b
    lake new orders --from orders.csv --domain shop --owner shop@example.com

    The sample is CSV (with header), JSONL, a JSON array, Parquet or Arrow, optionally compressed (gzip, zip with one
    file, bzip2, xz, zstd), in any encoding. It determines types, date formats, required fields, the key and the event
    time; the table shows the reasons. A guess is marked by a comment at the end of the field's line: check these
    comments, edit the contract, then run `lake apply`. Needs no running stack.

    The contract is a draft: any later change can be applied, and its tables are then rebuilt from raw. Set
    `status: active` when others rely on it.

    \b
    lake new orders --evolve

    With --evolve, shows the fields that conform found in payloads and the contract does not declare, and a diff that
    declares them. With --out, writes the changed contract to a new file. The contract itself is never changed.
    """
    if evolve:
        _evolve(name, sample_file, out, as_json)
        return
    draft = _infer(name, sample_file, domain, owner, event_time, out=out)
    _write(draft.target, draft.text)
    if as_json:
        click.echo(json.dumps(_as_json(draft.inferred, draft.target), indent=2))
    else:
        _print_draft(draft, name, sample_file)


def _infer(
    name: str,
    sample_files: tuple[str, ...],
    domain: str,
    owner: str | None,
    event_time: str | None,
    *,
    out: Path | None,
) -> Draft:
    """Return a valid contract for a file that does not exist yet. Raises NewError."""
    from lake_assets.catalog.infer import infer
    from lake_assets.catalog.parse import parse_contract
    from lake_assets.catalog.render import render_contract
    from lake_assets.catalog.sample import read_sample
    from lake_assets.landing.inputs import expanded, sample_of
    from lake_assets.settings import load_settings

    if not sample_files:
        raise NewError("a contract is inferred from a sample: give one with --from FILE.")
    _check_name("the asset", name)
    _check_name("the domain", domain)
    target = out or load_settings().catalog / "assets" / f"{name}.yaml"
    if target.exists():
        raise NewError(f"{_shown(target)} exists already: edit it, delete it, or choose another file with --out.")
    files = expanded(sample_files)
    data, is_whole, form = sample_of(files, _MOST_BYTES)
    sample = read_sample(data, form)
    inferred = infer(sample, event_time)
    text = render_contract(
        inferred,
        name=name,
        domain=domain,
        owner=owner or f"{domain}@example.com",
        owner_is_known=owner is not None,
        origin="a sample" if files[0] == "-" else Path(files[0]).name,
    )
    parse_contract(text, target)
    return Draft(target, text, inferred, sample, is_whole)


def _print_draft(draft: Draft, name: str, sample_files: tuple[str, ...]) -> None:
    part = "" if draft.sample_is_whole else "the first "
    click.echo(f"Read {part}{len(draft.sample.rows):,} rows of {draft.sample.form.upper()}.")
    _print(draft.inferred)
    click.echo(
        f"\nWrote {_shown(draft.target)}. Next: `lake apply`, then `lake produce {name} {' '.join(sample_files)}`"
    )


def _evolve(name: str, sample_file: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    import dataclasses
    from difflib import unified_diff

    from lake_assets.cli.asset_lookup import find
    from lake_assets.cli.tables import show, show_json
    from lake_assets.operations.propose_fields import propose
    from lake_assets.project import read_files
    from lake_assets.settings import load_settings

    if sample_file:
        raise NewError("--evolve reads events that have landed: leave out --from.")
    if out is not None and out.exists():
        raise NewError(f"{_shown(out)} exists already: delete it, or choose another file with --out.")
    settings = load_settings()
    asset = find(read_files(settings).assets, name)
    proposal = propose(settings, asset)
    path = _shown(Path(asset.path))
    before, after = (text.splitlines(keepends=True) for text in (proposal.before, proposal.after))
    diff = "".join(unified_diff(before, after, path, path))
    if as_json:
        show_json({"unknown": [dataclasses.asdict(key) for key in proposal.unknown], "diff": diff})
    elif not proposal.unknown:
        click.echo(f"{name}: no published window has a field that the contract does not declare.")
    else:
        rows = [
            (key.name, ", ".join(key.types), key.first, key.rows, f"{100 * key.rows / key.of:.1f} %")
            for key in proposal.unknown
        ]
        show(("unknown field", "types", "first window", "rows", "share since"), rows)
        if diff:
            click.echo(f"\n{diff}", nl=False)
        else:
            click.echo("No row in staging has one of these fields, so their types cannot be inferred.")
    if diff and out is not None:
        _write(out, proposal.after)
        click.echo(f"Wrote {_shown(out)}. Next: replace {path} with it, then `lake apply`.", err=as_json)
    elif diff and not as_json:
        click.echo(f"\nNothing was written. Edit {path}, or write a new file with --out; then `lake apply`.")


def _check_name(what: str, name: str) -> None:
    from lake_assets.catalog.names import ASSET_NAME_LENGTH, name_problem

    problem = name_problem(name, ASSET_NAME_LENGTH)
    if problem:
        raise NewError(f"'{name}' cannot be the name of {what}: it {problem}")


def _write(target: Path, text: str) -> None:
    """Write the contract, and into a user's catalog the JSON schema that its first line names for editors."""
    from lake_assets.catalog.schema import contract_schema

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
        schema = target.parent.parent / "contract.schema.json"
        if target.parent.name == "assets" and not schema.exists():
            schema.write_text(json.dumps(contract_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise NewError(f"{_shown(target)} cannot be written ({error.strerror}): choose a file with --out.") from None


def _as_json(inferred: Inferred, target: Path) -> dict[str, object]:
    return {
        "contract": str(target),
        "event_time": inferred.event_time,
        "window": inferred.window,
        "fields": [
            {
                "field": field.name,
                "payload_key": field.source,
                "type": field.type.physical or field.type.logical,
                "required": field.required,
                "key": bool(field.key_position),
                "personal": field.personal,
                "why": field.why,
                "doubts": list(field.doubts),
            }
            for field in inferred.fields
        ],
        "notes": list(inferred.notes),
    }


def _print(inferred: Inferred) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for title in ("field", "type", "required", "why"):
        # Users copy names and types from this table, so these columns do not wrap.
        table.add_column(title, overflow="fold", no_wrap=title != "why")
    for field in inferred.fields:
        kind = field.type.physical or field.type.logical
        guess = f"\n? {'; '.join(field.doubts)}" if field.doubts else ""
        table.add_row(field.name, kind, "yes" if field.required else "", field.why + guess)
    console = Console(highlight=False, markup=False)
    console.print(table)
    for note in inferred.notes:
        console.print(f"note: {note}", soft_wrap=True)


def _shown(path: Path) -> str:
    """Return the path relative to the working directory, if it is below it."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
