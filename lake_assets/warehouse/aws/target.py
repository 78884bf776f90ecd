"""Adapters of the target `aws`; `TargetAdapters` documents each function. Imports happen when needed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lake_assets.compile.permissions import Need
from lake_assets.settings import Settings
from lake_assets.warehouse.protocol import MartAccess, Warehouse
from lake_assets.warehouse.results import QueryResult

if TYPE_CHECKING:
    from lake_assets.warehouse.erasure import Erasure


def warehouse(settings: Settings) -> Warehouse:
    from lake_assets.warehouse.aws.athena import Athena

    return Athena(settings)


def erasure(settings: Settings) -> "Erasure":
    from lake_assets.warehouse.aws.athena_erasure import AthenaErasure

    return AthenaErasure(settings)


def mart_access(settings: Settings) -> MartAccess:
    from lake_assets.warehouse.aws.glue_marts import GlueMarts

    return GlueMarts(settings)


def query_marts(settings: Settings, query: str, limit: int | None) -> QueryResult:
    return warehouse(settings).query(query, limit)


def lacking(settings: Settings, needs: Sequence[Need], names: Mapping[str, str]) -> list[str]:
    from lake_assets.warehouse.aws.permissions import lacking_on_aws

    return lacking_on_aws(settings, needs, names)
