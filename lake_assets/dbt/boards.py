"""Boards of a dbt project: its exposures, with the charts of marts and metrics that belong to them.

A chart stands in `config.meta.charts` of its mart. Its board is the exposure that reads the mart; a mart with several
has `board` in each chart. A chart of a metric stands in `config.meta.charts` of the exposure and names the metric.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from lake_assets.catalog.board import Board, Chart, Column, ColumnKind, Table
from lake_assets.catalog.board_parse import ParsedChart, parse_charts
from lake_assets.catalog.metric import Metric
from lake_assets.catalog.model import Asset
from lake_assets.catalog.problems import did_you_mean, one_of
from lake_assets.compile.metric_tables import SCHEMA
from lake_assets.dbt.manifest import Manifest

Node = Mapping[str, Any]
_NUMBER = re.compile(r"(big|small|tiny|huge)?int(eger|\d+)?\b|decimal|numeric|double|float|real")
_TIME = re.compile("date|timestamp")


@dataclass(frozen=True, slots=True)
class Boards:
    """Boards in the order of their labels. `problems` are all sentences, each with file and path."""

    boards: tuple[Board, ...] = ()
    problems: tuple[str, ...] = ()


def read_boards(manifest: Manifest, metrics: Mapping[str, Metric], assets: Iterable[Asset]) -> Boards:
    """Return the boards that have charts, without the charts that have a problem.

    Marts on tables of other assets (the examples' marts, in a catalog without the examples) have no chart and no
    problem, nor have exposures that read such marts only.
    """
    staging = {(asset.staging_schema, asset.name) for asset in assets}
    models = {
        name
        for name, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and staging.issuperset(_staging_tables(manifest, name))
    }
    collected = _Collected(manifest, metrics)
    for exposure in manifest["exposures"].values():
        if not models.isdisjoint(exposure["depends_on"]["nodes"]) or not exposure["depends_on"]["nodes"]:
            collected.add_exposure(exposure)
    for name in manifest["nodes"]:
        if name in models:
            collected.add_model(manifest["nodes"][name])
    return collected.boards()


class _Collected:
    """Charts and problems, by the name of their board."""

    def __init__(self, manifest: Manifest, metrics: Mapping[str, Metric]) -> None:
        self._manifest = manifest
        self._metrics = metrics
        self._charts: dict[str, list[Chart]] = defaultdict(list)
        self._problems: dict[str, list[str]] = defaultdict(list)
        self._all_problems: list[str] = []

    def add_exposure(self, exposure: Node) -> None:
        def find_table(keys: Node) -> Table | str:
            metric = self._metrics.get(str(keys.get("metric")))
            if metric is not None:
                return _metric_table(metric)
            if "metric" not in keys:
                return "a chart of an exposure needs 'metric'; charts of a mart stand in its model."
            hint = did_you_mean(str(keys["metric"]), self._metrics)
            return f"there is no metric '{keys['metric']}'.{hint}"

        name = exposure["name"]
        for parsed in _charts(exposure, partial(parse_charts, find_table=find_table, more_keys=("metric",))):
            wrong = parsed.board not in (None, name)
            self._add(exposure, parsed, [name], "a chart of an exposure is on no other board." if wrong else None)

    def add_model(self, node: Node) -> None:
        boards = [
            exposure["name"]
            for exposure in self._manifest["exposures"].values()
            if node["unique_id"] in exposure["depends_on"]["nodes"]
        ]
        table = _mart_table(self._manifest, node)
        for parsed in _charts(node, partial(parse_charts, find_table=lambda _: table)):
            self._add(node, parsed, boards, _board_problem(node, parsed.board, boards))

    def _add(self, node: Node, parsed: ParsedChart, boards: list[str], board_problem: str | None) -> None:
        targets = [parsed.board] if parsed.board in boards else boards
        sentences = [f"{_place(node)}.{problem.path}: {problem.message}" for problem in parsed.problems]
        if board_problem:
            sentences.append(f"{_place(node)}.charts: {board_problem}")
        self._all_problems += sentences
        for board in targets:
            self._problems[board] += sentences
        if parsed.chart and not sentences:
            self._charts[targets[0]].append(parsed.chart)

    def boards(self) -> Boards:
        boards = [
            Board(
                name=exposure["name"],
                label=exposure.get("label") or exposure["name"],
                description=(exposure.get("description") or "").strip(),
                owner=_owner(exposure),
                charts=tuple(self._charts[exposure["name"]]),
                problems=tuple(self._problems[exposure["name"]]),
            )
            for exposure in self._manifest["exposures"].values()
            if self._charts[exposure["name"]] or self._problems[exposure["name"]]
        ]
        return Boards(tuple(sorted(boards, key=lambda board: board.label)), tuple(self._all_problems))


def _owner(exposure: Node) -> str:
    owner: Node = exposure.get("owner") or {}
    return str(owner.get("name") or "")


def _charts(node: Node, parse: Any) -> list[ParsedChart]:
    meta: object = node["config"].get("meta") or node.get("meta") or {}
    charts: object = cast(Node, meta).get("charts") if isinstance(meta, Mapping) else None
    return [] if charts is None else parse(charts)


def _board_problem(node: Node, board: str | None, boards: list[str]) -> str | None:
    """Return a sentence if it is not clear which board a chart of a mart is on."""
    if board is not None:
        if board in boards:
            return None
        readers = f" Those that do are {', '.join(boards)}." if boards else ""
        return f"no exposure '{board}' reads {node['name']}.{readers}"
    if not boards:
        return f"no exposure reads {node['name']}: add one that depends on ref('{node['name']}')."
    return None if len(boards) == 1 else f"needs 'board', which is {one_of(boards)}."


def _place(node: Node) -> str:
    """Return file and path of a node's settings, as its author finds them."""
    patch: str | None = node.get("patch_path")
    file = patch.partition("://")[2] if patch else node["original_file_path"]
    return f"{file}: {node['resource_type']}s.{node['name']}.config.meta"


def _mart_table(manifest: Manifest, node: Node) -> Table:
    columns = {
        column["name"]: Column(_kind(column.get("data_type") or ""), description=column.get("description") or "")
        for column in node["columns"].values()
    }
    times = [name for name, column in columns.items() if column.kind == "time"]
    return Table(
        schema=node["schema"],
        name=node["alias"],
        columns=columns,
        time=times[0] if len(times) == 1 else None,
        assets=frozenset(_staging_tables(manifest, node["unique_id"])),
    )


def _staging_tables(manifest: Manifest, unique_id: str) -> Iterator[tuple[str, str]]:
    """Yield schema and name of the sources that a model reads, directly or through other models."""
    source = manifest["sources"].get(unique_id)
    if source:
        yield source["schema"], source["name"]
    node = manifest["nodes"].get(unique_id)
    for parent in node["depends_on"]["nodes"] if node else ():
        yield from _staging_tables(manifest, parent)


def _kind(data_type: str) -> ColumnKind:
    folded = data_type.strip().lower()
    if _NUMBER.match(folded):
        return "number"
    return "time" if _TIME.match(folded) else "text"


def _metric_table(metric: Metric) -> Table:
    columns = {group.name: Column("text") for group in metric.groups}
    columns |= {"window_start": Column("time"), "window_end": Column("time")}
    for measure in metric.measures:
        combine = "sum" if measure.function in ("count", "sum") else measure.function
        columns[measure.name] = Column("number", combine, measure.description)
    columns |= {"is_final": Column("text"), "late_events": Column("number")}
    return Table(SCHEMA, metric.table, columns, time="window_start", metric=metric.table)
