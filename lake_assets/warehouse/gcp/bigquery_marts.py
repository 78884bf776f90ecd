"""The marts' datasets in BigQuery, which the analysts of the settings may read."""

from collections.abc import Sequence
from typing import Any

from lake_assets.compile.bigquery import mart_access, mart_dataset
from lake_assets.compile.grants import check_mart_schema
from lake_assets.gcp import bigquery_client, bigquery_refusals, retry_policy, unless_missing
from lake_assets.settings import Settings
from lake_assets.warehouse.gcp.bigquery_client import BigQueryClient, from_description


class BigQueryMarts:
    """A `MartAccess` over BigQuery; `MartAccess` documents each method.

    Other access granted by the dataset's owners stays. To run queries analysts need `roles/bigquery.jobUser` in a
    project, which is outside the lake.
    """

    def __init__(self, settings: Settings) -> None:
        self._gcp, self._analysts = settings.gcp, settings.analysts
        self._client: BigQueryClient = bigquery_client(settings.gcp.project, settings.gcp.location)

    def check(self) -> None:
        return

    def missing(self, schemas: Sequence[str]) -> list[str]:
        with bigquery_refusals("refuses to describe the marts' datasets"):
            return [schema for schema in sorted(schemas) if not self._open(self._described(schema))]

    def ensure(self, schemas: Sequence[str]) -> None:
        from google.cloud.bigquery import Dataset

        for schema in schemas:
            check_mart_schema(schema)
        with bigquery_refusals("refuses to create the marts' datasets"):
            for schema in schemas:
                definition = from_description(Dataset, mart_dataset(schema, self._gcp.project, self._gcp.location))
                existing = self._client.create_dataset(definition, exists_ok=True, retry=retry_policy()).to_api_repr()
                if not self._open(existing):
                    access = mart_access(existing.get("access", []), self._analysts)
                    changed = from_description(Dataset, {**existing, "access": access})
                    self._client.update_dataset(changed, ["access_entries"], retry=retry_policy())

    def tables(self) -> None:
        return None

    def _described(self, schema: str) -> dict[str, Any] | None:
        dataset = unless_missing(lambda: self._client.get_dataset(schema, retry=retry_policy()))
        return dataset.to_api_repr() if dataset else None

    def _open(self, dataset: dict[str, Any] | None) -> bool:
        if dataset is None:
            return False
        access = dataset.get("access", [])
        return mart_access(access, self._analysts) == access
