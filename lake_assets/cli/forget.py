"""`lake forget`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from lake_assets.cli.tables import show, show_json
from lake_assets.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lake_assets.catalog.model import Asset
    from lake_assets.ledger.forgotten import Receipt
    from lake_assets.ledger.ledger import Ledger
    from lake_assets.operations.erasure.search import ErasurePlan
    from lake_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Checksum of the listed rows. `force` allows more of them than one person usually has."""

    checksum: str
    force: bool


@dataclass(frozen=True, slots=True)
class Erased:
    """The receipt, the causes of failed steps by step, and sentences about copies that are not erased."""

    receipt: Receipt
    failed: Mapping[str, str]
    copies: Sequence[str]


@click.command()
@click.argument("asset")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--confirm", metavar="CHECKSUM", help="Erase the rows that were listed with this checksum.")
@click.option("--force", is_flag=True, help="Allow an erasure larger than one person's usual rows.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan or the receipt as one JSON object.")
def command(asset: str, keys: tuple[str, ...], confirm: str | None, force: bool, as_json: bool) -> None:
    """Find the events of one person in an asset, and erase them everywhere with --confirm.

    KEY is a value of the contract's key, or FIELD=VALUE for another field. An event must match all of them. With - or
    without any KEY, they are read from standard input, one per line: arguments on the command line stay in the shell's
    history and are visible in the process list.

    Erases good, quarantined and repeated events of all windows: from raw, whose files are rewritten without them, from
    staging and quarantine, and from all their older files and snapshots. Then rebuilds the windows and their marts.

    Without --confirm nothing is erased. With --confirm, erases exactly the rows listed with this checksum. If anything
    has changed since, nothing is erased. More than 10,000 rows, or more than 100 rows that are over 1 % of the asset,
    need --force. To resume an interrupted erasure, run the same command; with --confirm it needs no KEY.

    The receipt in the ledger contains a keyed hash of the KEY, not the KEY itself. The same command with the same KEY
    finds the receipt. `lake audit` counts the rows as erased and stays in balance. Copies in Kafka, in metrics and in
    back-ups are not erased: the output lists them.

    Exit code 0 when done, 1 when a window or mart could not be rebuilt (its rows are erased nevertheless).

    \b
    Examples:
      lake forget leads
      lake forget leads - < key.txt
      lake forget leads - --confirm 3f1c0a9be2d4 < key.txt
      lake forget leads email=ada@example.com
    """
    from lake_assets.cli.asset_lookup import find
    from lake_assets.ledger.applied import applied_catalog
    from lake_assets.settings import load_settings

    settings = load_settings()
    assets = applied_catalog(settings).assets
    chosen = find(assets, asset, settings.catalog)
    if confirm is None:
        _print_plan(*_plan(settings, chosen, keys), as_json=as_json)
        return
    done = _erase(settings, assets, chosen, keys, Confirmation(confirm, force))
    _print_receipt(done, as_json=as_json)
    sys.exit(1 if done.failed else 0)


def _plan(settings: Settings, asset: Asset, keys: tuple[str, ...]) -> tuple[ErasurePlan, Sequence[str]]:
    """Return the plan, and sentences about copies that an erasure does not reach."""
    from lake_assets.operations.erasure.limits import out_of_reach
    from lake_assets.operations.erasure.search import plan_erasure, wanted_fields

    with _ledger(settings) as ledger:
        planned = plan_erasure(settings, ledger, asset, wanted_fields(asset, _keys(keys)))
        return planned, out_of_reach(settings, asset, planned)


def _erase(
    settings: Settings, assets: Mapping[str, Asset], asset: Asset, keys: tuple[str, ...], confirmation: Confirmation
) -> Erased:
    """Erase what was planned with this checksum. Without keys, resume the erasure that was begun with it."""
    from lake_assets.cli.window_builder import window_builder
    from lake_assets.operations.erasure.execute import forget
    from lake_assets.operations.erasure.limits import out_of_reach
    from lake_assets.operations.erasure.search import begun, plan_erasure, wanted_fields

    versions = [each for each in assets.values() if each.dataset == asset.dataset and each is not asset]
    checksum, force = confirmation.checksum, confirmation.force
    with _ledger(settings) as ledger:
        planned = None if keys else begun(settings, ledger, asset, checksum)
        wanted = () if planned else wanted_fields(asset, _keys(keys))
        copies = out_of_reach(settings, asset, planned or plan_erasure(settings, ledger, asset, wanted))
        build = window_builder(settings, assets)
        receipt, failed = forget(settings, ledger, asset, versions, wanted, checksum=checksum, force=force, build=build)
    return Erased(receipt, failed, copies)


@contextmanager
def _ledger(settings: Settings) -> Iterator[Ledger]:
    from lake_assets.errors import LakeError
    from lake_assets.ledger.ledger import Ledger

    with Ledger(settings) as ledger:
        if not ledger.exists():
            raise LakeError("nothing is applied yet: run `lake apply` first.")
        yield ledger


def _keys(arguments: tuple[str, ...]) -> Sequence[str]:
    return arguments if arguments not in ((), ("-",)) else _keys_from_input()


def _keys_from_input() -> list[str]:
    """Read keys from standard input, one per line. Input at a terminal is hidden."""
    from lake_assets.errors import LakeError

    text: str = click.prompt("KEY", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.read()
    keys = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
    if not keys:
        raise LakeError("standard input has no KEY: give one per line.")
    return keys


def _plan_values(plan: ErasurePlan) -> dict[str, object]:
    return {
        "dataset": plan.dataset,
        "windows": {window: asdict(rows) for window, rows in plan.windows.items()},
        "files": len(plan.files),
        "rows": plan.rows,
        "of": plan.of,
        "needs_even_so": plan.is_surprising,
        "begun": plan.begun is not None,
        "checksum": plan.checksum if plan.windows else None,
        "receipts": [_receipt_values(receipt) for receipt in plan.earlier],
    }


def _receipt_values(receipt: Receipt) -> dict[str, object]:
    counts = receipt.windows.values()
    return {
        "id": receipt.id,
        "dataset": receipt.dataset,
        "fields": receipt.fields,
        "hash": receipt.hash,
        "salt": receipt.salt,
        "decided_at": receipt.decided_at,
        "done_at": receipt.done_at,
        "windows": {window: asdict(rows) for window, rows in receipt.windows.items()},
        "raw": sum(rows.raw for rows in counts),
        "staging": sum(rows.staging for rows in counts),
        "quarantine": sum(rows.quarantine for rows in counts),
        "files_rewritten": len(receipt.files),
        "files_deleted": receipt.files_deleted,
    }


def _print_plan(plan: ErasurePlan, copies: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        show_json(_plan_values(plan) | {"out_of_reach": copies})
        return
    for receipt in plan.earlier:
        click.echo(f"Receipt {receipt.id}: these events were erased on {receipt.done_at:%Y-%m-%d %H:%M} UTC.")
    if not plan.windows:
        click.echo(f"{plan.dataset} has no matching events.")
        return
    show(
        ("window", "raw", "staging", "quarantine"),
        [(window, rows.raw, rows.staging, rows.quarantine) for window, rows in plan.windows.items()],
    )
    click.echo(f"{plan.rows:,} of {plan.of:,} rows; {len(plan.files):,} raw files would be rewritten.")
    for sentence in copies:
        click.echo(sentence)
    force = " --force" if plan.is_surprising else ""
    state = "This erasure is not finished. To resume it" if plan.begun else "Nothing was erased. To erase these rows"
    click.echo(f"{state}: the same command with{force} --confirm {plan.checksum}")


def _print_receipt(done: Erased, *, as_json: bool) -> None:
    receipt, values = done.receipt, _receipt_values(done.receipt)
    if as_json:
        show_json(values | {"failed": done.failed, "out_of_reach": done.copies})
    else:
        columns = ("raw", "staging", "quarantine", "files_rewritten", "files_deleted")
        row = (receipt.id, len(receipt.windows), *(values[name] for name in columns))
        show(("receipt", "windows", *columns), [row])
        click.echo(f"Erased. The hash of the given KEY is {receipt.hash}.")
        for sentence in done.copies:
            click.echo(sentence)
    for step, reason in done.failed.items():
        click.echo(f"{step} failed: {printable(reason)}", err=True)
