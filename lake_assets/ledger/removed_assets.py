"""Assets removed by `lake remove`, and the deletion of their rows in the ledger."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier

from lake_assets.catalog.model import Asset
from lake_assets.errors import LakeError
from lake_assets.ledger.ledger import Ledger
from lake_assets.ledger.unreferenced_files import add_files_of_asset

# Tables with rows about an asset that outlive it; those of raw have the dataset's name instead.
_RECORDS = ("removed_asset", "contract", "superseded_file")


@dataclass(frozen=True, slots=True)
class RemovedAsset:
    """A removal, which is unfinished while `done_at` is None. `text` is the contract as it was applied.

    The domain's connector leaves `topic` out until a contract that names it is applied; None while another version of
    the dataset needs it. `raw_location` is the folder of the raw table, None if there was none.
    """

    asset: str
    domain: str
    topic: str | None
    text: str
    raw_location: str | None
    kept: list[str]
    checksum: str
    decided_at: datetime
    done_at: datetime | None


def removed_assets(ledger: Ledger) -> dict[str, RemovedAsset]:
    """Return the removals by asset."""
    if not ledger.exists():
        return {}
    with ledger.connection.cursor(row_factory=class_row(RemovedAsset)) as cursor:
        rows = cursor.execute(
            "select asset, domain, topic, text, raw_location, kept, checksum, decided_at, done_at "
            "from ledger.removed_asset order by asset"
        ).fetchall()
    return {removal.asset: removal for removal in rows}


def unfinished_removals(ledger: Ledger) -> list[str]:
    """Return a sentence for each removal that is unfinished."""
    return [
        f"the removal of {removal.asset} is unfinished, unless a process is running it: "
        f"`lake remove {removal.asset} --confirm {removal.checksum}`."
        for removal in removed_assets(ledger).values()
        if removal.done_at is None
    ]


def check_removal(asset: Asset, rows: Mapping[str, RemovedAsset]) -> None:
    """Raise LakeError for an asset with an unfinished removal, or whose tables an earlier removal kept."""
    for removal in rows.values():
        if removal.done_at is None and (removal.asset == asset.name or removal.topic == asset.topic):
            raise LakeError(
                f"the removal of {removal.asset} is unfinished: finish it with `lake remove {removal.asset} "
                f"--confirm {removal.checksum}`, then run `lake apply`."
            )
    if asset.name in rows and "tables" in rows[asset.name].kept:
        raise LakeError(
            f"the tables of an earlier asset {asset.name} still exist: `lake remove` kept them. Drop them with "
            f"`lake remove {asset.name}`, or give the new asset another name."
        )


def left_out(ledger: Ledger, assets: Iterable[Asset]) -> dict[str, list[str]]:
    """Return by domain the topics of removed assets that none of these assets has."""
    current_topics = {asset.topic for asset in assets}
    topics: dict[str, list[str]] = {}
    for removal in removed_assets(ledger).values():
        if removal.topic is not None and removal.topic not in current_topics:
            topics.setdefault(removal.domain, []).append(removal.topic)
    return topics


def decide_to_remove(
    ledger: Ledger,
    asset: Asset,
    text: str,
    *,
    topic: str | None,
    raw_location: str | None,
    kept: list[str],
    checksum: str,
) -> None:
    """Record that the asset is about to be removed; from now on it is not applied."""
    with ledger.connection.transaction():
        ledger.connection.execute(
            "insert into ledger.removed_asset (asset, domain, topic, text, raw_location, kept, checksum) "
            "values (%s, %s, %s, %s, %s, %s, %s) on conflict (asset) do update set domain = excluded.domain, "
            "topic = excluded.topic, text = excluded.text, raw_location = excluded.raw_location, "
            "kept = excluded.kept, checksum = excluded.checksum, decided_at = now(), done_at = null",
            (asset.name, asset.domain, topic, text, raw_location, kept, checksum),
        )
        ledger.connection.execute("delete from ledger.contract where asset = %s", (asset.name,))


def set_removed(ledger: Ledger, asset: Asset) -> None:
    """Record that the removal is done."""
    ledger.connection.execute("update ledger.removed_asset set done_at = now() where asset = %s", (asset.name,))


def subscribe_again(ledger: Ledger, domain: str) -> None:
    """Clear the topics that the domain's connector leaves out, when there is no connector."""
    ledger.connection.execute(
        "update ledger.removed_asset set topic = null where domain = %s and not 'topic' = any(kept)", (domain,)
    )


def forget_removed(ledger: Ledger, assets: Collection[Asset]) -> None:
    """Delete the removal records of assets that are applied again, by name or by topic."""
    ledger.connection.execute(
        "delete from ledger.removed_asset where asset = any(%s) or topic = any(%s)",
        ([asset.name for asset in assets], [asset.topic for asset in assets]),
    )


def delete_asset_rows(ledger: Ledger, asset: Asset) -> None:
    """Delete all of the asset's rows in the ledger; its published files become unreferenced.

    Rows about raw, which the versions of a dataset share, stay.
    """
    with ledger.connection.transaction():
        add_files_of_asset(ledger, asset)
        tables = ledger.connection.execute(
            "select table_name::text from information_schema.columns where table_schema = 'ledger' "
            "and column_name = 'asset' and table_name <> all(%s)",
            (list(_RECORDS),),
        ).fetchall()
        for (table,) in tables:
            ledger.connection.execute(
                SQL("delete from ledger.{} where asset = %s").format(Identifier(table)), (asset.name,)
            )


def all_unreferenced_files(ledger: Ledger, asset: Asset) -> list[str]:
    """Return all conformed files of the asset that no table references."""
    rows = ledger.connection.execute(
        "select url from ledger.superseded_file where asset = %s order by url", (asset.name,)
    ).fetchall()
    return [url for (url,) in rows]


def delete_dataset_rows(ledger: Ledger, asset: Asset) -> None:
    """Delete the ledger's rows about the dataset's raw table: removals, receipts of erasures, orphaned files."""
    receipts = "(select id from ledger.receipt where dataset = %s)"
    with ledger.connection.transaction():
        for table in ("forgotten_offsets", "forgotten_window"):
            ledger.connection.execute(
                SQL("delete from ledger.{} where receipt in " + receipts).format(Identifier(table)), (asset.dataset,)
            )
        for table in ("removal", "leftover_file", "receipt"):
            ledger.connection.execute(
                SQL("delete from ledger.{} where dataset = %s").format(Identifier(table)), (asset.dataset,)
            )


def delete_topic_rows(ledger: Ledger, topic: str) -> None:
    """Delete the ledger's rows about the topic's offsets."""
    ledger.connection.execute("delete from ledger.no_record where topic = %s", (topic,))
