"""Facets of OpenLineage, as dictionaries of JSON. Pure.

No facet has a value of a row: names of tables, columns and checks, types, counts and times only.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lake_assets.operations.lineage.names import DatasetName

# A URI that leads nowhere: the project has no address of its own.
PRODUCER = "urn:lake-assets:lineage"
_SPEC = "https://openlineage.io/spec"
EVENT_SCHEMA = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"

Json = Mapping[str, object]
Processing = Literal["BATCH", "STREAMING", "SERVICE"]
Transformation = Literal["IDENTITY", "TRANSFORMATION"]


@dataclass(frozen=True, slots=True, order=True)
class InputField:
    """A column that another one is computed from. `masked` is True if its values cannot be read from the result."""

    dataset: DatasetName
    column: str
    transformation: Transformation
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Assertion:
    """Result of a check of a table. `kind` is the kind of a dbt test; of other checks it is their name."""

    name: str
    kind: str
    passed: bool
    severity: str
    column: str | None = None


def _facet(version: str, name: str, **content: object) -> Json:
    url = f"{_SPEC}/facets/{version}/{name}.json#/$defs/{name}"
    return {"_producer": PRODUCER, "_schemaURL": url, **content}


def schema_facet(columns: Iterable[tuple[str, str, str]]) -> Json:
    """Return the facet `schema` of columns: name, type and description."""
    fields: list[Json] = [
        {"name": name, **({"type": kind} if kind else {}), **({"description": text} if text else {})}
        for name, kind, text in columns
    ]
    return _facet("1-2-0", "SchemaDatasetFacet", fields=fields)


def storage_facet(layer: str, file_format: str) -> Json:
    """Return the facet `storage`."""
    return _facet("1-0-1", "StorageDatasetFacet", storageLayer=layer, fileFormat=file_format)


def column_lineage_facet(columns: Mapping[str, Sequence[InputField]]) -> Json:
    """Return the facet `columnLineage`, of columns whose sources are known; a constant has none."""
    fields = {name: {"inputFields": [_input_field(source) for source in sources]} for name, sources in columns.items()}
    return _facet("1-2-0", "ColumnLineageDatasetFacet", fields=fields)


def _input_field(source: InputField) -> Json:
    how = {"type": "DIRECT", "subtype": source.transformation, "masking": source.masked}
    return {
        "namespace": source.dataset.namespace,
        "name": source.dataset.name,
        "field": source.column,
        "transformations": [how],
    }


def assertions_facet(assertions: Iterable[Assertion]) -> Json:
    """Return the facet `dataQualityAssertions`."""
    return _facet(
        "1-1-0",
        "DataQualityAssertionsDatasetFacet",
        assertions=[
            {
                "assertion": each.kind,
                "name": each.name,
                "success": each.passed,
                "severity": each.severity,
                **({"column": each.column} if each.column else {}),
            }
            for each in assertions
        ],
    )


def output_statistics_facet(rows: int, size: int | None = None) -> Json:
    """Return the facet `outputStatistics`: rows written, and their bytes if they are known."""
    numbers: dict[str, int] = {"rowCount": rows} if size is None else {"rowCount": rows, "size": size}
    return _facet("1-0-2", "OutputStatisticsOutputDatasetFacet", **numbers)


def job_type_facet(processing: Processing, integration: str, kind: str) -> Json:
    """Return the facet `jobType`."""
    return _facet("2-0-4", "JobTypeJobFacet", processingType=processing, integration=integration, jobType=kind)


def parent_facet(run_id: str, namespace: str, job: str) -> Json:
    """Return the facet `parent`: the run of Dagster that a job belongs to. It is the root, too."""
    run, names = {"runId": run_id}, {"namespace": namespace, "name": job}
    return _facet("1-2-0", "ParentRunFacet", run=run, job=names, root={"run": run, "job": names})


def error_facet(message: str) -> Json:
    """Return the facet `errorMessage`; the message must not quote errors, which may have values of rows."""
    return _facet("1-0-1", "ErrorMessageRunFacet", message=message, programmingLanguage="PYTHON")
