"""Adapters of the target `gcp`; `TargetAdapters` documents each function. Imports happen when needed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lake_assets.compile.permissions import Need
from lake_assets.settings import Settings
from lake_assets.warehouse.protocol import MartAccess, Warehouse
from lake_assets.warehouse.results import QueryResult

if TYPE_CHECKING:
    from lake_assets.warehouse.erasure import Erasure


def warehouse(settings: Settings) -> Warehouse:
    from lake_assets.warehouse.gcp.bigquery import BigQuery

    return BigQuery(settings)


def erasure(settings: Settings) -> "Erasure":
    from lake_assets.warehouse.gcp.bigquery_erasure import BigQueryErasure

    return BigQueryErasure(settings)


def mart_access(settings: Settings) -> MartAccess:
    from lake_assets.warehouse.gcp.bigquery_marts import BigQueryMarts

    return BigQueryMarts(settings)


def query_marts(settings: Settings, query: str, limit: int | None) -> QueryResult:
    return warehouse(settings).query(query, limit)


def lacking(settings: Settings, needs: Sequence[Need], _names: Mapping[str, str]) -> list[str]:
    from lake_assets.warehouse.gcp.permissions import lacking_on_gcp

    return lacking_on_gcp(settings, needs)
