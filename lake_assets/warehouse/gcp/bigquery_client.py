"""Google's client of BigQuery, with types: its own signatures leave some out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    import pyarrow
    from google.api_core.retry import Retry
    from google.cloud.bigquery import (
        Dataset,
        LoadJob,
        LoadJobConfig,
        QueryJobConfig,
        SchemaField,
        Table,
        TableReference,
    )


class Resource(Protocol):
    """A dataset or a table, as the API describes it."""

    def to_api_repr(self) -> dict[str, Any]: ...


class Job(Protocol):
    @property
    def error_result(self) -> Mapping[str, Any] | None: ...


class UnfinishedJob(Protocol):
    """A job of a list."""

    @property
    def job_id(self) -> str: ...
    def cancel(self, *, retry: "Retry") -> bool: ...
    def result(self, *, retry: "Retry", timeout: float) -> object: ...


class QueryJob(Protocol):
    @property
    def statement_type(self) -> str | None: ...


class Row(Protocol):
    def __getitem__(self, key: int) -> Any: ...
    def values(self) -> Sequence[Any]: ...


class Rows(Protocol):
    """Methods of `RowIterator` that the lake calls."""

    @property
    def schema(self) -> "Sequence[SchemaField]": ...
    def __iter__(self) -> Iterator[Row]: ...
    def to_arrow(self, *, create_bqstorage_client: bool) -> "pyarrow.Table": ...


class BigQueryClient(Protocol):
    """Methods of `Client` that the lake calls."""

    def get_dataset(self, dataset_ref: str, *, retry: "Retry") -> Resource: ...
    def create_dataset(self, dataset: "Dataset", *, exists_ok: bool, retry: "Retry") -> Resource: ...
    def update_dataset(self, dataset: "Dataset", fields: Sequence[str], *, retry: "Retry") -> Resource: ...
    def get_table(self, table: str, *, retry: "Retry") -> Resource: ...
    def create_table(self, table: "Table", *, exists_ok: bool, retry: "Retry") -> Resource: ...
    def update_table(self, table: "Table", fields: Sequence[str], *, retry: "Retry") -> Resource: ...
    def delete_table(self, table: str, *, not_found_ok: bool, retry: "Retry") -> None: ...
    def get_job(self, job_id: str, *, retry: "Retry") -> Job: ...
    def list_jobs(self, *, state_filter: str, retry: "Retry") -> Iterable[UnfinishedJob]: ...
    def load_table_from_uri(
        self,
        source_uris: Sequence[str],
        destination: "TableReference",
        *,
        job_id: str,
        job_config: "LoadJobConfig",
        retry: "Retry",
    ) -> "LoadJob": ...
    def query(self, query: str, job_config: "QueryJobConfig", *, retry: "Retry") -> QueryJob: ...
    def query_and_wait(
        self,
        query: str,
        *,
        job_config: "QueryJobConfig | None" = None,
        max_results: int | None = None,
        retry: "Retry",
        job_retry: "Retry" = ...,
    ) -> Rows: ...


class _Described(Protocol):
    # Not `Self`: `LoadJobConfig` declares that it returns its base class.
    @classmethod
    def from_api_repr(cls, resource: dict[str, Any]) -> Any: ...


D = TypeVar("D", bound=_Described)


def from_description(kind: type[D], description: Mapping[str, Any]) -> D:
    """Return the object of this class that the API describes so."""
    return kind.from_api_repr(dict(description))
