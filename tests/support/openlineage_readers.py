"""Readers of OpenLineage events: the JSON Schemas, the classes of `openlineage-python`, and a join by names."""

import json
import typing
import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Any, cast
from urllib.parse import urlsplit

import attr
from jsonschema import Draft202012Validator, FormatChecker
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.generated import (
    column_lineage_dataset,
    data_quality_assertions_dataset,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    schema_dataset,
    storage_dataset,
)
from openlineage.client.serde import Serde
from referencing import Registry, Resource

SCHEMAS = Path(__file__).parent.parent / "operations" / "openlineage"
Event = Mapping[str, Any]
_FACETS: Mapping[str, tuple[ModuleType, str]] = {
    "parent": (parent_run, "ParentRunFacet"),
    "errorMessage": (error_message_run, "ErrorMessageRunFacet"),
    "jobType": (job_type_job, "JobTypeJobFacet"),
    "schema": (schema_dataset, "SchemaDatasetFacet"),
    "storage": (storage_dataset, "StorageDatasetFacet"),
    "columnLineage": (column_lineage_dataset, "ColumnLineageDatasetFacet"),
    "dataQualityAssertions": (data_quality_assertions_dataset, "DataQualityAssertionsDatasetFacet"),
    "outputStatistics": (output_statistics_output_dataset, "OutputStatisticsOutputDatasetFacet"),
}
_formats = FormatChecker(formats=())


@_formats.checks("uuid", raises=ValueError)
def _is_uuid(value: str) -> bool:
    return str(uuid.UUID(value)) == value


@_formats.checks("date-time", raises=ValueError)
def _is_time(value: str) -> bool:
    return "T" in value and datetime.fromisoformat(value).tzinfo is not None


@_formats.checks("uri", raises=ValueError)
def _is_uri(value: str) -> bool:
    return bool(urlsplit(value).scheme)


@cache
def _documents() -> dict[str, Any]:
    documents = [json.loads(path.read_bytes()) for path in SCHEMAS.rglob("*.json")]
    return {document["$id"]: document for document in documents}


@cache
def _validator(url: str) -> Draft202012Validator:
    resources = [(name, Resource.from_contents(document)) for name, document in _documents().items()]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft202012Validator({"$ref": url}, registry=registry, format_checker=_formats)


def check_by_schema(event: Event) -> None:
    """Fail if the event, or one of its facets, does not satisfy its schema, which must be one of the files."""
    _validator(event["schemaURL"]).validate(event)
    datasets = [*event["inputs"], *event["outputs"]]
    places = [event["run"]["facets"], event["job"]["facets"], *(d["facets"] for d in datasets)]
    places += [d[kind] for d in datasets for kind in ("inputFacets", "outputFacets") if kind in d]
    for facets in places:
        for name, facet in facets.items():
            url = facet["_schemaURL"]
            # The file of a facet has its key, too.
            _validator(url.partition("#")[0]).validate({name: facet})
            _validator(url).validate(facet)


def read_by_client(event: Event) -> Event:
    """Read the event into the client's classes and return what the client writes of them."""
    client = RunEvent(
        eventType=RunState(event["eventType"]),
        eventTime=event["eventTime"],
        producer=event["producer"],
        run=Run(runId=event["run"]["runId"], facets=_facets(event["run"]["facets"])),
        job=Job(event["job"]["namespace"], event["job"]["name"], facets=_facets(event["job"]["facets"])),
        inputs=[
            InputDataset(
                d["namespace"], d["name"], facets=_facets(d["facets"]), inputFacets=_facets(d.get("inputFacets", {}))
            )
            for d in event["inputs"]
        ],
        outputs=[
            OutputDataset(
                d["namespace"], d["name"], facets=_facets(d["facets"]), outputFacets=_facets(d.get("outputFacets", {}))
            )
            for d in event["outputs"]
        ],
    )
    return without_empty(json.loads(Serde.to_json(client)))


def without_empty(value: Any) -> Any:
    """Return JSON without empty objects and lists, which the client leaves out or adds."""
    if isinstance(value, dict):
        content = {key: without_empty(each) for key, each in cast("dict[str, Any]", value).items()}
        return {key: each for key, each in content.items() if each not in ({}, [], None)}
    return [without_empty(each) for each in cast("list[Any]", value)] if isinstance(value, list) else value


def _facets(facets: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, content in facets.items():
        module, kind = _FACETS[name]
        made[name] = _structured(getattr(module, kind), content)
    return made


def _structured(kind: Any, value: Any) -> Any:
    """Return JSON as an instance of a class of the client, with all that is in it. Unknown keys fail."""
    arguments = [each for each in typing.get_args(kind) if each is not NoneType]
    if typing.get_origin(kind) in (typing.Union, UnionType):
        return None if value is None else _structured(arguments[0], value)
    if typing.get_origin(kind) is list:
        return [_structured(arguments[0], each) for each in value]
    if typing.get_origin(kind) is dict:
        return {key: _structured(arguments[1], each) for key, each in value.items()}
    if not attr.has(kind):
        return value
    types = typing.get_type_hints(kind)
    content = {key: each for key, each in value.items() if key not in ("_producer", "_schemaURL")}
    given = {key: _structured(types[key], each) for key, each in content.items()}
    return kind(**given, **({"producer": value["_producer"]} if "_producer" in value else {}))


def names_of(datasets: Iterable[Event]) -> set[tuple[str, str]]:
    """Return namespace and name of each dataset."""
    return {(dataset["namespace"], dataset["name"]) for dataset in datasets}


def upstream(events: Iterable[Event], job: str) -> set[tuple[str, str]]:
    """Return all datasets that lead to a job, by names alone, as a catalog joins them."""
    ends = [event for event in events if event["eventType"] == "COMPLETE"]
    writers = {name: event for event in ends for name in names_of(event["outputs"])}
    pending = list(next(names_of(event["inputs"]) for event in ends if event["job"]["name"] == job))
    found: set[tuple[str, str]] = set()
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += names_of(writers[name]["inputs"]) if name in writers else []
    return found
