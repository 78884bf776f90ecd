"""One table of the Glue catalog: its definition and its partitions, in as few calls as Glue allows."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import sleep
from typing import Any, Literal, TypeVar

from lake_assets.aws import transient
from lake_assets.compile.glue import GlueTable, differences, partition_input, retyped, table_input, updated
from lake_assets.errors import LakeError, Unavailable

# Glue's names of the batch calls, of what they take, and of the windows in their errors; and the most that one takes.
Kind = Literal["create", "update", "delete"]
_MOST: Mapping[Kind, int] = {"create": 100, "update": 100, "delete": 25}
_MOST_READ = 1000
# A part that failed because the partition is there already, or is not there, is done in the other way.
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
    """`glue` is boto3's client, `location` and `files` are as for `table_input`. `pause` is in seconds, before Glue is
    asked again for what it did not do, and doubles. Errors of the SDK come through as they are."""

    glue: Any
    table: GlueTable
    location: str
    files: str
    pause: float = 0.5

    def described(self) -> Mapping[str, Any] | None:
        """The table as Glue has it."""
        try:
            return self.glue.get_table(DatabaseName=self.table.database, Name=self.table.name)["Table"]
        except self.glue.exceptions.EntityNotFoundException:
            return None

    def ensure(self) -> None:
        """Makes the table, or gives it what the contract says. Raises Unavailable when others change it all the time.

        Where a column is widened, its partitions come first: after a crash the table still differs, and all is done
        again. Until the table follows, Athena refuses to read it.
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
                    wanted = updated(existing, self.table)
                    if retyped(existing, self.table):
                        self._retype(wanted)
                    # With the version that was read, Glue refuses when somebody else has changed the table since.
                    self.glue.update_table(
                        DatabaseName=self.table.database, TableInput=wanted, VersionId=existing["VersionId"]
                    )
                return
            except (
                self.glue.exceptions.AlreadyExistsException,
                self.glue.exceptions.ConcurrentModificationException,
            ):
                sleep(min(self.pause * 2**attempt, 5.0))
        raise Unavailable(f"{self.table.title} is changed by others all the time: try again later.")

    def partitions(self, values: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Those of these partitions that exist, by value."""
        found: dict[str, Mapping[str, Any]] = {}
        for some in _chunks(values, _MOST_READ):
            left = [{"Values": [value]} for value in some]
            while left:
                answer = self.glue.batch_get_partition(**self._place, PartitionsToGet=left)
                found |= {partition["Values"][0]: partition for partition in answer["Partitions"]}
                left = answer.get("UnprocessedKeys", [])
        return found

    def locations(self) -> dict[str, str]:
        """Where each of the table's partitions is, by value."""
        pages = self.glue.get_paginator("get_partitions").paginate(**self._place)
        return {p["Values"][0]: p["StorageDescriptor"]["Location"] for page in pages for p in page["Partitions"]}

    def switch(self, wanted: Mapping[str, Mapping[str, Any] | None], there: Collection[str]) -> None:
        """Makes the partitions be as wanted, by value; None removes one. Each changes at once, not all together.

        `there` are those that exist, as far as known. What Glue left out of a batch is asked for again. Raises
        LakeError naming the partitions that were refused, Unavailable when Glue goes on leaving some out.
        """
        left: dict[str, Kind] = {
            value: "delete" if made is None else "update" if value in there else "create"
            for value, made in wanted.items()
            if made is not None or value in there
        }
        reasons: dict[str, str] = {}
        for attempt in range(_ATTEMPTS):
            if attempt and reasons:
                sleep(self.pause * 2**attempt)
            reasons, refused, again = {}, {}, dict[str, Kind]()
            for kind in _MOST:
                for some in _chunks([value for value, asked in left.items() if asked == kind], _MOST[kind]):
                    for value, code, message in self._batch(kind, {value: wanted[value] for value in some}):
                        if (kind, code) in _INSTEAD:
                            if (instead := _INSTEAD[kind, code]) is not None:
                                again[value] = instead
                            continue
                        again[value] = kind
                        (reasons if transient(code) else refused)[value] = f"{code}: {message}"
            if refused:
                raise LakeError(self._not_done(refused))
            if not again:
                return
            left = again
        raise Unavailable(self._not_done(reasons or dict.fromkeys(left, "others change it all the time")))

    @property
    def _place(self) -> dict[str, str]:
        return {"DatabaseName": self.table.database, "TableName": self.table.name}

    def _batch(self, kind: Kind, parts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
        """One call; value, error code and message of each part that was not done."""
        match kind:
            case "create":
                answer = self.glue.batch_create_partition(**self._place, PartitionInputList=list(parts.values()))
            case "update":
                entries = [{"PartitionValueList": [value], "PartitionInput": made} for value, made in parts.items()]
                answer = self.glue.batch_update_partition(**self._place, Entries=entries)
            case "delete":
                values = [{"Values": [value]} for value in parts]
                answer = self.glue.batch_delete_partition(**self._place, PartitionsToDelete=values)
        for error in answer.get("Errors", []):
            value = (error.get("PartitionValueList") or error["PartitionValues"])[0]
            detail = error.get("ErrorDetail", {})
            yield value, detail.get("ErrorCode", ""), detail.get("ErrorMessage", "")

    def _retype(self, table: Mapping[str, Any]) -> None:
        made = {value: partition_input(table, value, location) for value, location in self.locations().items()}
        self.switch(made, made)

    def _not_done(self, reasons: Mapping[str, str]) -> str:
        values = sorted(reasons)
        named = ", ".join(values[:5]) + (f" and {len(values) - 5} more" if len(values) > 5 else "")
        return f"AWS Glue did not change {self.table.title} for the window {named} ({reasons[values[0]]})"


def _chunks(items: Sequence[T], size: int) -> Iterator[list[T]]:
    return (list(items[first : first + size]) for first in range(0, len(items), size))
