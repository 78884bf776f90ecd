"""Rebuild a window whose raw files expired: SQL that uses remaining rows in place of raw rows.

The relations have the columns of the quarantine table and of the staging table.
"""

from lake_assets.catalog.model import Asset
from lake_assets.compile.conform import good_select
from lake_assets.compile.sql import identifier, judged_column, literal


def kept_payloads(quarantined: str) -> str:
    """Select quarantined rows as raw rows. Their timestamp is lost, but their window is known."""
    return (
        '(select payload, key as _key, topic as _topic, partition as _partition, "offset" as _offset, '
        f"_window as _timestamp from {quarantined})"
    )


def kept_good(asset: Asset, good: str) -> str:
    """Insert good rows into `judged` unchanged."""
    names = "".join(f"{identifier(field.name)} as {judged_column(field.name)}, " for field in asset.fields)
    return f"""\
insert into judged by name
select
  {names}_window, _event_at, {literal(asset.topic)} as _topic, _kafka_partition as _partition, _offset, _extra
from {good}"""


def kept_select(asset: Asset, loaded_at: str, good: str) -> str:
    """Select the rows for staging; rows that were good before keep their load time and contract version."""
    return f"""\
select _passed.* replace (
  coalesce(_earlier._at, _passed._loaded_at) as _loaded_at,
  coalesce(_earlier._version, _passed._contract_version) as _contract_version
)
from (
{good_select(asset, loaded_at)}
) as _passed
left join (
  select _kafka_partition as _of, _offset as _position, _loaded_at as _at, _contract_version as _version
  from {good}
) as _earlier
  on _kafka_partition = _earlier._of and _offset = _earlier._position"""
