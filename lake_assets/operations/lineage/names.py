"""Names of datasets by OpenLineage's naming specification, for each store on each target. Pure.

https://openlineage.io/docs/spec/naming. A table has one name in all jobs that read or write it: names join them.
"""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from lake_assets.bucket import is_local, local_path
from lake_assets.compile.metric_tables import SCHEMA
from lake_assets.settings import Settings

# Athena's name of Glue's catalog.
GLUE_CATALOG = "AwsDataCatalog"


@dataclass(frozen=True, slots=True, order=True)
class DatasetName:
    """A dataset: the namespace is its store, the name is unique in there."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one lake's datasets. `region` is AWS's, for the target `aws` only."""

    settings: Settings
    region: str = ""

    def topic(self, topic: str) -> DatasetName:
        """Return the name of a topic, at the first of the bootstrap servers."""
        return DatasetName(f"kafka://{self.settings.kafka.split(',')[0].strip()}", topic)

    def raw(self, raw_name: tuple[str, str]) -> DatasetName:
        """Return the name of a raw table: its folder in the bucket."""
        return file_name("/".join((self.settings.raw_warehouse, *raw_name)))

    def conformed(self, dataset: str, major: int) -> DatasetName:
        """Return the name of a dataset's conformed files: their folder in the bucket."""
        return file_name(f"{self.settings.conformed}/{dataset}/v{major}")

    def table(self, schema: str, table: str) -> DatasetName:
        """Return the name of a staging table, a quarantine table or a mart.

        On the target `local` DuckLake's tables are named by its catalog, which is the database of the marts.
        """
        if schema != SCHEMA and self.settings.target == "gcp":
            return DatasetName("bigquery", f"{self.settings.gcp.project}.{schema}.{table}")
        if schema != SCHEMA and self.settings.target == "aws":
            return DatasetName(f"awsathena://athena.{self.region}.amazonaws.com", f"{GLUE_CATALOG}.{schema}.{table}")
        postgres = self.settings.postgres
        return DatasetName(f"postgres://{postgres.host}:{postgres.port}", f"{postgres.dbname}.{schema}.{table}")

    def metric(self, table: str) -> DatasetName:
        """Return the name of a metric's table, which is in Postgres on every target."""
        return self.table(SCHEMA, table)


def file_name(url: str) -> DatasetName:
    """Return the name of a file or folder by its URL or plain path."""
    if is_local(url):
        return DatasetName("file", local_path(url))
    parts = urlsplit(url)
    path = unquote(parts.path)
    # Keys of object stores have no leading slash, paths of HDFS do.
    return DatasetName(f"{parts.scheme}://{parts.netloc}", path if parts.scheme == "hdfs" else path.lstrip("/"))
