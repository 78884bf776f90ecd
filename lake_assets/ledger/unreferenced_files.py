"""Conformed files that no table references: not yet, or no longer since their window was rebuilt or removed."""

from collections.abc import Sequence
from datetime import datetime

from lake_assets.catalog.model import Asset
from lake_assets.catalog.table_counts import TableName
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.ledger.ledger import Ledger

# Both lists of an output's files.
_FILES = "(output::jsonb -> 'good_files') || (output::jsonb -> 'quarantine_files')"


def add_unreferenced_files(ledger: Ledger, asset: Asset, urls: Sequence[str]) -> None:
    """Record files of the asset that no table references, before they are written or after they were dropped."""
    ledger.connection.execute(
        "insert into ledger.superseded_file (asset, url) select %s, unnest(%s::text[]) on conflict do nothing",
        (asset.name, list(urls)),
    )


def add_files_of_windows(ledger: Ledger, asset: Asset, element: TableName, windows: Sequence[str]) -> None:
    """Record the files of windows that were just removed from one of the two tables."""
    files = "good_files" if element == "staging" else "quarantine_files"
    ledger.connection.execute(
        "insert into ledger.superseded_file (asset, url) select asset, url from ledger.window "
        "cross join jsonb_array_elements_text(output::jsonb -> %s) as url "
        'where asset = %s and "window" = any(%s) and output is not null on conflict do nothing',
        (files, asset.name, list(windows)),
    )


def replace_published_files(ledger: Ledger, asset: Asset, outputs: Sequence[WindowOutput]) -> None:
    """Record the files of the last publication of these windows, which the outputs' files replace."""
    ledger.connection.execute(
        "insert into ledger.superseded_file (asset, url) select asset, url from ledger.window cross join "
        f'jsonb_array_elements_text({_FILES}) as url where asset = %s and "window" = any(%s) and output is not null '
        "on conflict (url) do update set since = now()",
        (asset.name, [output.window for output in outputs]),
    )
    # A crashed run may have published the same files already.
    clear_unreferenced_files(ledger, [url for o in outputs for url in (*o.good_files, *o.quarantine_files)])


def add_files_of_asset(ledger: Ledger, asset: Asset) -> None:
    """Record the files of all of the asset's published windows, before their rows in the ledger are deleted."""
    ledger.connection.execute(
        "insert into ledger.superseded_file (asset, url) select asset, url from ledger.window cross join "
        f"jsonb_array_elements_text({_FILES}) as url where asset = %s and output is not null on conflict do nothing",
        (asset.name,),
    )


def unreferenced_files(ledger: Ledger, asset: Asset, before: datetime, undone_since: datetime) -> list[str]:
    """Return unreferenced files of the asset since before then.

    Files for the undo of a backfill are left out, if that backfill ended after `undone_since` or is being undone.
    """
    rows = ledger.connection.execute(
        "select f.url from ledger.superseded_file as f where asset = %(asset)s and since < %(before)s and not exists ("
        "select from ledger.backfill_window as w join ledger.backfill as b using (asset) where w.asset = f.asset "
        "and (state = 'undoing' or (state = 'made' and (ended_at is null or ended_at > %(undone_since)s))) and "
        "((w.output::jsonb -> 'good_files') || (w.output::jsonb -> 'quarantine_files')) ? f.url) order by f.url",
        {"asset": asset.name, "before": before, "undone_since": undone_since},
    ).fetchall()
    return [url for (url,) in rows]


def clear_unreferenced_files(ledger: Ledger, urls: Sequence[str]) -> None:
    """Delete the records of files that are deleted, or that a table is about to reference."""
    ledger.connection.execute("delete from ledger.superseded_file where url = any(%s)", (list(urls),))


def undo_spans(ledger: Ledger, undone_since: datetime) -> list[tuple[datetime, datetime | None]]:
    """Return the time spans of the backfills that can be undone; the end is None while one runs."""
    return ledger.connection.execute(
        "select began_at, ended_at from ledger.backfill as b where exists (select from ledger.backfill_window as w "
        "where w.asset = b.asset and (state = 'undoing' or (state = 'made' and (ended_at is null or ended_at > %s))))",
        (undone_since,),
    ).fetchall()
