"""Age of a chart's numbers, and the reason when they are old."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lake_assets.applied_files import read_copy
from lake_assets.catalog.board import Table
from lake_assets.compile.sql import identifier, literal
from lake_assets.dashboard.reader import NotThere, Reader
from lake_assets.home import Home
from lake_assets.operations.metric_status import read_metric_status
from lake_assets.settings import Settings

# A metric writes its status once a second.
SILENT_SECONDS = 15.0
MART_SECONDS = 4.0
_BUILT = re.compile(r"Built (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC\.\s*\Z")


@dataclass(frozen=True, slots=True)
class Freshness:
    """The time of which the numbers are, None if that is unknown. `problem` is why they are old; None if they are not.

    `is_live` are numbers that move with each event.
    """

    as_of: datetime | None
    problem: str | None = None
    is_live: bool = False


def built_at(comment: str | None) -> datetime | None:
    """Return the time of the build that dbt has noted at the end of a mart's comment."""
    match = _BUILT.search(comment or "")
    return datetime.fromisoformat(match[1]).replace(tzinfo=UTC) if match else None


def mart_freshness(
    settings: Settings, reader: Reader, table: Table, now: datetime, show: Callable[[timedelta], str]
) -> Freshness:
    """Return when a mart was built. It is old if one of its assets promises to be younger. Raises NotRead, NotThere."""
    name = literal(f"{identifier(table.schema)}.{identifier(table.name)}")
    query = f"select to_regclass({name}) is not null, obj_description(to_regclass({name}), 'pg_class')"
    [(exists, comment)] = reader.rows(query, MART_SECONDS)
    if not exists:
        raise NotThere("The mart is not built yet. It is built when the first rows of its assets are published.")
    at = built_at(comment)
    limits = [
        asset.freshness
        for asset in read_copy(settings).assets.values()
        if asset.freshness and (asset.staging_schema, asset.name) in table.assets
    ]
    if at is None or not limits or now - at <= min(limits):
        return Freshness(at)
    problem = (
        f"Not built for {show(now - at)}, although its data should be at most {show(min(limits))} old: no new rows "
        "have come, or they are held back. `lake status` has the cause."
    )
    return Freshness(at, problem)


def metric_freshness(settings: Settings, table: Table, now: datetime) -> Freshness:
    """Return the time of a metric's last sign of life."""
    status = read_metric_status(Home(settings.home), table.name)
    if not status:
        return Freshness(None, "The metric does not run: start it with `lake up`. Numbers do not move.", is_live=True)
    at = datetime.fromtimestamp(float(str(status["time"])), UTC)
    if (now - at).total_seconds() <= SILENT_SECONDS:
        return Freshness(at, is_live=True)
    return Freshness(at, "The metric has stopped, so these numbers do not move: see `lake status`.", is_live=True)
