"""Publication of windows in the ledger: their inputs and counts, and what follows for each other concern."""

from collections.abc import Sequence
from dataclasses import replace

from lake_assets.catalog.json_codec import to_json
from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.ledger.backfills import record_backfill_publication
from lake_assets.ledger.failures import clear_failures
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.removals import clear_table_removals
from lake_assets.ledger.unreferenced_files import replace_published_files


def publish_windows(
    ledger: Ledger,
    asset: Asset,
    sequence: int,
    outputs: Sequence[WindowOutput],
    *,
    run_id: str,
    engine: str,
    seconds: float,
) -> None:
    """Record windows that the warehouse now shows, in one transaction. They stay queued until `dequeue_windows`."""
    windows = [output.window for output in outputs]
    with ledger.connection.transaction(), ledger.connection.cursor() as cursor:
        # These read the earlier publication.
        record_backfill_publication(ledger, asset, windows)
        replace_published_files(ledger, asset, outputs)
        cursor.execute('delete from ledger.window where asset = %s and "window" = any(%s)', (asset.name, windows))
        # Now, since the run may die of another window before it takes this one off the queue.
        clear_failures(ledger, asset, windows)
        cursor.executemany(
            'insert into ledger.window (asset, "window", sequence, contract_version, run_id, engine, '
            "raw_rows, good, quarantined, duplicates, raw_bytes, seconds, output, conflicts) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (asset.name, o.window, sequence, asset.version, run_id, engine, o.raw_rows, o.good, o.quarantined,
                 o.duplicates, o.bytes, seconds / len(outputs), _stored(o), o.conflicts)
                for o in outputs
            ],
        )  # fmt: skip
        cursor.executemany(
            'insert into ledger.window_partition (asset, "window", topic, partition, raw, good, '
            "quarantined, duplicates, redelivered, min_offset, max_offset) "
            "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (asset.name, o.window, p.topic, p.partition, p.raw, p.good, p.quarantined, p.duplicates,
                 p.redelivered, p.min_offset, p.max_offset)
                for o in outputs
                for p in o.partitions
            ],
        )  # fmt: skip
        cursor.executemany(
            'insert into ledger.unknown_field (asset, "window", name, type, rows) values (%s, %s, %s, %s, %s)',
            # Postgres does not store zero bytes in text.
            [(asset.name, o.window, u.name, u.type, u.rows) for o in outputs for u in o.unknown if "\0" not in u.name],
        )
        cursor.execute('delete from ledger.held_back where asset = %s and "window" = any(%s)', (asset.name, windows))
        clear_table_removals(ledger, asset, windows)


def _stored(output: WindowOutput) -> str:
    """Return the JSON of an output without parts that are not stored.

    Unknown fields with a zero byte in their name are left out, because Postgres cannot store it; checks have passed and
    are not read again.
    """
    unknown = tuple(field for field in output.unknown if "\0" not in field.name)
    return to_json(replace(output, checks=(), unknown=unknown))
