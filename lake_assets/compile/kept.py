"""A window from what is left of it when raw is gone: SQL that puts kept rows where raw rows would be.

The relations have the columns of the quarantine table and of the staging table.
"""

from lake_assets.catalog.model import Asset
from lake_assets.compile.conform import good_select
from lake_assets.compile.sql import identifier, literal


def kept_payloads(quarantined: str) -> str:
    """Quarantined rows as raw ones. Their time stamp is gone, but its window is known."""
    return (
        '(select payload, key as _key, topic as _topic, partition as _partition, "offset" as _offset, '
        f"_window as _timestamp from {quarantined})"
    )


def kept_good(asset: Asset, good: str) -> str:
    """Adds good rows to `judged` as they are."""
    names = "".join(f"{identifier(field.name)}, " for field in asset.fields)
    return f"""\
insert into judged by name
select
  {names}_window, _event_at, {literal(asset.topic)} as _topic, _kafka_partition as _partition, _offset, _extra
from {good}"""


def kept_select(asset: Asset, loaded_at: str, good: str) -> str:
    """The rows for staging; those that were good before keep when they were loaded, and by which version."""
    return f"""\
select passed.* replace (
  coalesce(earlier.loaded_at, passed._loaded_at) as _loaded_at,
  coalesce(earlier.version, passed._contract_version) as _contract_version
)
from (
{good_select(asset, loaded_at)}
) as passed
left join (
  select _kafka_partition as partition, _offset as position, _loaded_at as loaded_at, _contract_version as version
  from {good}
) as earlier
  on _kafka_partition = earlier.partition and _offset = earlier.position"""
