"""Request and answer of a conform job; both cross the bucket and Dagster Pipes as JSON."""

from dataclasses import dataclass

from lake_assets.catalog.model import Asset
from lake_assets.catalog.window_results import WindowInput, WindowOutput


@dataclass(frozen=True, slots=True)
class Request:
    """One job: these windows of one asset, whose raw files are named, never searched.

    `name` begins the names of the files it writes below `out`, a bucket URL. `folder` is a URL for files that only this
    job reads. `loaded_at` is ISO 8601 with an offset. A window is cut into buckets of about `bucket_rows` rows.
    """

    asset: Asset
    windows: tuple[WindowInput, ...]
    out: str
    folder: str
    name: str
    run_id: str
    loaded_at: str
    bucket_rows: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Stage:
    """One pass over the data: its wall-clock seconds, tasks, rows in, and the largest task's memory in bytes."""

    name: str
    seconds: float
    tasks: int
    rows: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Result of a job. `failed` has the cause of each window that failed; `schema` is Spark's, of the good rows."""

    outputs: tuple[WindowOutput, ...]
    failed: dict[str, str]
    stages: tuple[Stage, ...]
    schema: str
    spark_version: str
