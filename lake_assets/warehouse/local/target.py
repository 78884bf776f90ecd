"""Adapters of the target `local`; `TargetAdapters` documents each function. Imports happen when needed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lake_assets.compile.permissions import Need
from lake_assets.settings import Settings
from lake_assets.warehouse.protocol import MartAccess, Warehouse
from lake_assets.warehouse.results import QueryResult

if TYPE_CHECKING:
    from lake_assets.warehouse.erasure import Erasure


def warehouse(settings: Settings) -> Warehouse:
    from lake_assets.warehouse.local.ducklake import DuckLake

    return DuckLake(settings)


def erasure(settings: Settings) -> "Erasure":
    from lake_assets.warehouse.local.ducklake_erasure import DuckLakeErasure

    return DuckLakeErasure(settings)


def mart_access(settings: Settings) -> MartAccess:
    from lake_assets.warehouse.local.postgres_marts import PostgresMarts

    return PostgresMarts(settings)


def query_marts(settings: Settings, query: str, limit: int | None) -> QueryResult:
    from lake_assets.warehouse.local.analyst_query import query_as_analyst

    return query_as_analyst(settings, query, limit)


def lacking(_settings: Settings, _needs: Sequence[Need], _names: Mapping[str, str]) -> list[str]:
    return []  # it needs no credentials
