"""One table of the Glue catalog: its definition and its partitions, in as few calls as Glue allows."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import sleep
from typing import Any, Literal, TypeVar

from lake_assets.aws import transient
from lake_assets.compile.glue import GlueTable, differences, partition_input, retyped, table_input, updated
from lake_assets.errors import LakeError, Unavailable

# Glue's batch calls, and the most partitions that one accepts.
Kind = Literal["create", "update", "delete"]
_MOST: Mapping[Kind, int] = {"create": 100, "update": 100, "delete": 25}
_MOST_READ = 1000
# A part that failed because the partition exists, or does not exist, is done by the other call.
_INSTEAD: Mapping[tuple[Kind, str], Kind | None] = {
    ("create", "AlreadyExistsException"): "update",
    ("update", "EntityNotFoundException"): "create",
    ("delete", "EntityNotFoundException"): None,
}
_ATTEMPTS = 6
_CONFLICTS = 20
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Catalogued:
    """A table of Glue.

    `glue` is boto3's client, `location` and `files` are as for `table_input`. `pause` is the first pause between
    retries, in seconds, and doubles. Errors of the SDK are passed on.
    """

    glue: Any
    table: GlueTable
    location: str
    files: str
    pause: float = 0.5

    def described(self) -> Mapping[str, Any] | None:
        """Return the table as Glue has it."""
        try:
            return self.glue.get_table(DatabaseName=self.table.database, Name=self.table.name)["Table"]
        except self.glue.exceptions.EntityNotFoundException:
            return None

    def ensure(self) -> None:
        """Create the table, or update it to the contract. Raises Unavailable when others keep changing it.

        If a column is widened, its partitions come first: after a crash the table still differs, and everything is
        repeated. Until the table follows, Athena refuses to read it.
        """
        for attempt in range(_CONFLICTS):
            existing = self.described()
            if existing is not None and not differences(existing, self.table):
                return
            try:
                if existing is None:
                    self.glue.create_table(
                        DatabaseName=self.table.database, TableInput=table_input(self.table, self.location, self.files)
                    )
                else:
                    definition = updated(existing, self.table)
                    if retyped(existing, self.table):
                        self._retype(definition)
                    # With the version that was read, Glue refuses if the table has been changed since.
                    self.glue.update_table(
                        DatabaseName=self.table.database, TableInput=definition, VersionId=existing["VersionId"]
                    )
                return
            except (
                self.glue.exceptions.AlreadyExistsException,
                self.glue.exceptions.ConcurrentModificationException,
            ):
                sleep(min(self.pause * 2**attempt, 5.0))
        raise Unavailable(f"{self.table.title} is being changed by others: try again later.")

    def partitions(self, values: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return the existing ones of these partitions, by value."""
        existing: dict[str, Mapping[str, Any]] = {}
        for chunk in _chunks(values, _MOST_READ):
            pending = [{"Values": [value]} for value in chunk]
            while pending:
                response = self.glue.batch_get_partition(**self._place, PartitionsToGet=pending)
                existing |= {partition["Values"][0]: partition for partition in response["Partitions"]}
                pending = response.get("UnprocessedKeys", [])
        return existing

    def locations(self) -> dict[str, str]:
        """Return the location of each of the table's partitions, by value."""
        pages = self.glue.get_paginator("get_partitions").paginate(**self._place)
        return {p["Values"][0]: p["StorageDescriptor"]["Location"] for page in pages for p in page["Partitions"]}

    def switch(self, definitions: Mapping[str, Mapping[str, Any] | None], existing: Collection[str]) -> None:
        """Make the partitions as wanted, by value; None deletes one. Each changes atomically, not all together.

        `there` are the known existing ones. Parts that Glue left out of a batch are retried. Raises LakeError naming
        the partitions that were refused, Unavailable when Glue keeps leaving some out.
        """
        pending: dict[str, Kind] = {
            value: "delete" if definition is None else "update" if value in existing else "create"
            for value, definition in definitions.items()
            if definition is not None or value in existing
        }
        reasons: dict[str, str] = {}
        for attempt in range(_ATTEMPTS):
            if attempt and reasons:
                sleep(self.pause * 2**attempt)
            reasons, refused, retry = dict[str, str](), dict[str, str](), dict[str, Kind]()
            for kind in _MOST:
                for chunk in _chunks([value for value, action in pending.items() if action == kind], _MOST[kind]):
                    for value, code, message in self._batch(kind, {value: definitions[value] for value in chunk}):
                        if (kind, code) in _INSTEAD:
                            if (instead := _INSTEAD[kind, code]) is not None:
                                retry[value] = instead
                            continue
                        retry[value] = kind
                        (reasons if transient(code) else refused)[value] = f"{code}: {message}"
            if refused:
                raise LakeError(self._not_done(refused))
            if not retry:
                return
            pending = retry
        raise Unavailable(self._not_done(reasons or dict.fromkeys(pending, "others keep changing it")))

    @property
    def _place(self) -> dict[str, str]:
        return {"DatabaseName": self.table.database, "TableName": self.table.name}

    def _batch(self, kind: Kind, parts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """Make one call; yield value, error code and message of each part that was not done."""
        match kind:
            case "create":
                response = self.glue.batch_create_partition(**self._place, PartitionInputList=list(parts.values()))
            case "update":
                entries = [
                    {"PartitionValueList": [value], "PartitionInput": definition} for value, definition in parts.items()
                ]
                response = self.glue.batch_update_partition(**self._place, Entries=entries)
            case "delete":
                values = [{"Values": [value]} for value in parts]
                response = self.glue.batch_delete_partition(**self._place, PartitionsToDelete=values)
        for error in response.get("Errors", []):
            value = (error.get("PartitionValueList") or error["PartitionValues"])[0]
            detail = error.get("ErrorDetail", {})
            yield value, detail.get("ErrorCode", ""), detail.get("ErrorMessage", "")

    def _retype(self, table: Mapping[str, Any]) -> None:
        definitions = {value: partition_input(table, value, location) for value, location in self.locations().items()}
        self.switch(definitions, definitions)

    def _not_done(self, reasons: Mapping[str, str]) -> str:
        values = sorted(reasons)
        named = ", ".join(values[:5]) + (f" and {len(values) - 5} more" if len(values) > 5 else "")
        return f"AWS Glue did not change {self.table.title} for the window {named} ({reasons[values[0]]})"


def _chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    return (list(items[first : first + size]) for first in range(0, len(items), size))
