"""`lake forget`."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lake_assets.ledger.forgotten import Receipt
    from lake_assets.ledger.ledger import Pending
    from lake_assets.operations.erasure.search import ErasurePlan


@click.command()
@click.argument("asset")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--confirm", metavar="CHECKSUM", help="Remove what was shown with this checksum.")
@click.option("--even-so", is_flag=True, help="Also when it is more than one person is likely to have.")
@click.option("--json", "as_json", is_flag=True, help="The plan or the receipt as one JSON object.")
def command(asset: str, keys: tuple[str, ...], confirm: str | None, even_so: bool, as_json: bool) -> None:
    """Show which events of an asset are a person's, and remove them everywhere when told the checksum.

    KEY is the value of the contract's key, or FIELD=VALUE for another field; of several all must hold. With - in their
    place, or without any, they are read from standard input, one a line: what stands on the command line is kept in the
    shell's history and shown in the list of processes. Good,
    quarantined and repeated events of all windows go: from raw, whose files are written again without them, from
    staging and quarantine, and from every older file and snapshot of both. The windows and their marts are made again.

    Without --confirm nothing is removed. With it exactly that is removed whose checksum it is: when anything has
    changed since, nothing is. More than 10,000 rows, or more than 100 that are over 1 % of the asset, need --even-so.
    A run that died is finished by the same command, and --confirm finishes it without any KEY.

    The receipt in the ledger has a keyed hash of the person and not the key; asking for the same KEY again finds it.
    lake audit counts the rows as forgotten and stays in balance. What Kafka, metrics and back-ups hold is out of
    reach: the output says so.

    Exit code 0 when done, 1 when a window or mart could not be made again (its rows are gone all the same).

    \b
    Examples:
      lake forget leads
      lake forget leads - < key.txt
      lake forget leads - --confirm 3f1c0a9be2d4 < key.txt
      lake forget leads email=ada@example.com
    """
    from lake_assets.cli.names import find
    from lake_assets.cli.tables import show_json
    from lake_assets.errors import LakeError
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.ledger.ledger import Ledger
    from lake_assets.operations.erasure.execute import forget
    from lake_assets.operations.erasure.limits import out_of_reach
    from lake_assets.operations.erasure.search import begun, plan_erasure, wanted_fields
    from lake_assets.orchestration.in_process import make_windows
    from lake_assets.settings import load_settings

    settings = load_settings()
    assets = applied_catalog(settings).assets
    found = find(assets, asset, settings.catalog)

    def make(pending: "Sequence[Pending]") -> "Mapping[str, str]":
        return make_windows(settings, assets, pending, lambda step: click.echo(f"  {step}", err=True)).failed

    beside = [one for one in assets.values() if one.dataset == found.dataset and one is not found]
    with Ledger(settings) as ledger:
        if not ledger.exists():
            raise LakeError("nothing is applied yet: run 'lake apply' first.")
        planned = begun(settings, ledger, found, confirm) if confirm and not keys else None
        wanted = () if planned else wanted_fields(found, keys if keys not in ((), ("-",)) else _keys_from_input())
        planned = planned or plan_erasure(settings, ledger, found, wanted)
        told = out_of_reach(settings, found, planned)
        if confirm is None:
            if as_json:
                show_json(_plan_values(planned) | {"out_of_reach": told})
            else:
                _print_plan(planned, told)
            return
        receipt, failed = forget(settings, ledger, found, beside, wanted, confirm, even_so, make)
    if as_json:
        show_json(_receipt_values(receipt) | {"failed": failed, "out_of_reach": told})
    else:
        _print_receipt(receipt, told)
    for step, reason in failed.items():
        click.echo(f"{step} failed: {reason}", err=True)
    sys.exit(1 if failed else 0)


def _keys_from_input() -> list[str]:
    """One a line; what a person types at the terminal is not shown."""
    from lake_assets.errors import LakeError

    text: str = click.prompt("KEY", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.read()
    keys = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
    if not keys:
        raise LakeError("no KEY came from standard input: write one on a line.")
    return keys


def _plan_values(found: "ErasurePlan") -> dict[str, object]:
    from dataclasses import asdict

    return {
        "asset": found.asset,
        "windows": {window: asdict(rows) for window, rows in found.windows.items()},
        "files": len(found.files),
        "rows": found.rows,
        "of": found.of,
        "needs_even_so": found.is_surprising,
        "begun": found.begun is not None,
        "checksum": found.checksum if found.windows else None,
        "receipts": [_receipt_values(receipt) for receipt in found.earlier],
    }


def _receipt_values(receipt: "Receipt") -> dict[str, object]:
    from dataclasses import asdict

    rows = receipt.windows.values()
    return {
        "id": receipt.id,
        "asset": receipt.dataset,
        "fields": receipt.fields,
        "hash": receipt.hash,
        "salt": receipt.salt,
        "decided_at": receipt.decided_at,
        "done_at": receipt.done_at,
        "windows": {window: asdict(held) for window, held in receipt.windows.items()},
        "raw": sum(held.raw for held in rows),
        "staging": sum(held.staging for held in rows),
        "quarantine": sum(held.quarantine for held in rows),
        "files_rewritten": len(receipt.files),
        "files_deleted": receipt.files_deleted,
    }


def _print_plan(found: "ErasurePlan", told: "Sequence[str]") -> None:
    from lake_assets.cli.tables import show

    for receipt in found.earlier:
        click.echo(f"Receipt {receipt.id}: this was forgotten on {receipt.done_at:%Y-%m-%d %H:%M} UTC.")
    if not found.windows:
        click.echo(f"{found.asset} has nothing of it.")
        return
    show(
        ("window", "raw", "staging", "quarantine"),
        [(window, rows.raw, rows.staging, rows.quarantine) for window, rows in found.windows.items()],
    )
    click.echo(f"{found.rows:,} of {found.of:,} rows; {len(found.files):,} raw files would be written again.")
    for sentence in told:
        click.echo(sentence)
    even_so = " --even-so" if found.is_surprising else ""
    state = "This was begun and is not finished. To finish it" if found.begun else "Nothing was removed. To remove this"
    click.echo(f"{state}: the same command with{even_so} --confirm {found.checksum}")


def _print_receipt(receipt: "Receipt", told: "Sequence[str]") -> None:
    from lake_assets.cli.tables import show

    values = _receipt_values(receipt)
    columns = ("raw", "staging", "quarantine", "files_rewritten", "files_deleted")
    show(("receipt", "windows", *columns), [(receipt.id, len(receipt.windows), *(values[name] for name in columns))])
    click.echo(f"Forgotten; the hash of what was given is {receipt.hash}.")
    for sentence in told:
        click.echo(sentence)
