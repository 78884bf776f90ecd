"""`lake new`: a contract from a sample, with every decision shown."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lake_assets.errors import LakeError

if TYPE_CHECKING:
    from lake_assets.catalog.infer import Inferred

_MOST_BYTES = 8 * 1024 * 1024


class NewError(LakeError):
    """A contract cannot be written; the message says what to change."""


@click.command(name="new")
@click.argument("name")
@click.option(
    "--from", "sample_file", metavar="FILE", multiple=True, help="A file, or a pattern of several; - is stdin."
)
@click.option("--evolve", is_flag=True, help="Propose what the contract of NAME lacks: fields that its payloads have.")
@click.option("--domain", default="main", show_default=True, help="Who the data belongs to; the topic is DOMAIN.NAME.")
@click.option("--owner", metavar="EMAIL", help="Who answers for the data; edit the contract when left out.")
@click.option("--event-time", metavar="COLUMN", help="The column that windows are cut by, when not the inferred one.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write here, not into the catalog.")
@click.option("--json", "as_json", is_flag=True, help="Print the decisions as JSON.")
def command(
    name: str,
    sample_file: tuple[str, ...],
    evolve: bool,
    domain: str,
    owner: str | None,
    event_time: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Infer a contract for a new asset NAME from a sample, and write it into the catalog.

    \b
    lake new orders --from orders.csv --domain shop --owner shop@example.com

    The sample is CSV (with header), JSONL, a JSON array, Parquet or Arrow, also packed (gzip, zip with one file, bzip2,
    xz, zstd), and need not be UTF-8. Types, date formats, required fields, the key and the event time are decided by
    it, and the table says why. What is a guess stands in a comment at the end of the field's line: read those, edit,
    then `lake apply`. Needs no running stack.

    The contract is a draft: whatever you change later is applied, and its tables are made again from raw. Set
    `status: active` when others rely on it.

    \b
    lake new orders --evolve

    With --evolve it shows the fields that conform has found in payloads and the contract does not declare, and the
    change that would declare them, as a diff. With --out it writes the changed contract to a file that is not there
    yet; the contract itself is never touched.
    """
    if evolve:
        _evolve(name, sample_file, out, as_json)
        return
    if not sample_file:
        raise NewError("a contract is inferred from a sample: name one with --from FILE.")
    from lake_assets.catalog.infer import infer
    from lake_assets.catalog.parse import parse_contract
    from lake_assets.catalog.render import render_contract
    from lake_assets.catalog.sample import read_sample
    from lake_assets.landing.inputs import expanded, sample_of
    from lake_assets.settings import load_settings

    _check_name("the asset", name)
    _check_name("the domain", domain)
    target = out or load_settings().catalog / "assets" / f"{name}.yaml"
    if target.exists():
        raise NewError(f"{_shown(target)} is there already: edit it, remove it, or write elsewhere with --out.")
    files = expanded(sample_file)
    data, is_whole, form = sample_of(files, _MOST_BYTES)
    sample = read_sample(data, form)
    inferred = infer(sample, event_time)
    text = render_contract(
        inferred,
        name=name,
        domain=domain,
        owner=owner or f"{domain}@example.com",
        owner_is_known=owner is not None,
        of="a sample" if files[0] == "-" else Path(files[0]).name,
    )
    parse_contract(text, target)
    _write(target, text)
    if as_json:
        click.echo(json.dumps(_as_json(inferred, target), indent=2))
        return
    which = "" if is_whole else "the first "
    click.echo(f"Read {which}{len(sample.rows):,} rows of {sample.form.upper()}.")
    _print(inferred)
    click.echo(f"\nWrote {_shown(target)}. Next: lake apply, then lake produce {name} {' '.join(sample_file)}")


def _evolve(name: str, sample_file: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    import dataclasses
    from difflib import unified_diff

    from lake_assets.cli.names import find
    from lake_assets.cli.tables import show, show_json
    from lake_assets.operations.propose_fields import propose
    from lake_assets.project import read_files
    from lake_assets.settings import load_settings

    if sample_file:
        raise NewError("--evolve looks at events that have landed, so leave --from out.")
    if out is not None and out.exists():
        raise NewError(f"{_shown(out)} is there already: remove it, or write elsewhere with --out.")
    settings = load_settings()
    asset = find(read_files(settings).assets, name)
    proposal = propose(settings, asset)
    path = _shown(Path(asset.path))
    before, after = (text.splitlines(keepends=True) for text in (proposal.before, proposal.after))
    diff = "".join(unified_diff(before, after, path, path))
    if as_json:
        show_json({"unknown": [dataclasses.asdict(key) for key in proposal.unknown], "diff": diff})
    elif not proposal.unknown:
        click.echo(f"{name}: no published window holds a field that the contract does not declare.")
    else:
        rows = [
            (key.name, ", ".join(key.types), key.first, key.rows, f"{100 * key.rows / key.of:.1f} %")
            for key in proposal.unknown
        ]
        show(("unknown field", "types", "first window", "rows", "share since"), rows)
        if diff:
            click.echo(f"\n{diff}", nl=False)
        else:
            click.echo("No row in staging holds one of them, so there is nothing to tell a type by.")
    if diff and out is not None:
        _write(out, proposal.after)
        click.echo(f"Wrote {_shown(out)}. Next: put it in the place of {path}, then lake apply.", err=as_json)
    elif diff and not as_json:
        click.echo(f"\nNothing is written. Change {path} like this, or write it elsewhere with --out; then lake apply.")


def _check_name(what: str, name: str) -> None:
    from lake_assets.catalog.names import ASSET_NAME_LENGTH, name_problem

    problem = name_problem(name, ASSET_NAME_LENGTH)
    if problem:
        raise NewError(f"'{name}' cannot be the name of {what}: it {problem}")


def _write(target: Path, text: str) -> None:
    """Writes the contract, and beside a catalog of one's own the schema that its first line names for editors."""
    from lake_assets.catalog.schema import contract_schema

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
        schema = target.parent.parent / "contract.schema.json"
        if target.parent.name == "assets" and not schema.exists():
            schema.write_text(json.dumps(contract_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise NewError(f"{_shown(target)} cannot be written ({error.strerror}): choose a place with --out.") from None


def _as_json(inferred: "Inferred", target: Path) -> dict[str, object]:
    return {
        "contract": str(target),
        "event_time": inferred.event_time,
        "window": inferred.window,
        "fields": [
            {
                "field": one.name,
                "payload_key": one.source,
                "type": one.type.physical or one.type.logical,
                "required": one.required,
                "key": bool(one.key_position),
                "personal": one.personal,
                "why": one.why,
                "doubts": list(one.doubts),
            }
            for one in inferred.fields
        ],
        "notes": list(inferred.notes),
    }


def _print(inferred: "Inferred") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for title in ("field", "type", "required", "why"):
        # Names and types are copied from here: they stay whole.
        table.add_column(title, overflow="fold", no_wrap=title != "why")
    for one in inferred.fields:
        kind = one.type.physical or one.type.logical
        guess = f"\n? {'; '.join(one.doubts)}" if one.doubts else ""
        table.add_row(one.name, kind, "yes" if one.required else "", one.why + guess)
    console = Console(highlight=False, markup=False)
    console.print(table)
    for note in inferred.notes:
        console.print(f"note: {note}", soft_wrap=True)


def _shown(path: Path) -> str:
    """The path as short as it can be said from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
