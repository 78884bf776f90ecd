"""Contracts and metrics from their texts. Only the invalid texts are left out."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from types import MappingProxyType
from typing import TypeVar

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.metric_parse import check_metrics_together, parse_metric
from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import check_together, parse_contract
from lake_assets.catalog.problems import ContractError, Problem

T = TypeVar("T", Asset, Metric)
_NAME = re.compile(r"^name:[ \t]*['\"]?(\w+)", re.MULTILINE)
_MAJOR = re.compile(r"^version:[ \t]*['\"]?(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Assets and metrics by name, in name order, and the text of each by its path.

    `problems` are those of invalid texts; `left_out` has the likely name of each by its path.
    """

    assets: Mapping[str, Asset] = field(default_factory=dict[str, Asset])
    metrics: Mapping[str, Metric] = field(default_factory=dict[str, Metric])
    texts: Mapping[PurePath, str] = field(default_factory=dict[PurePath, str])
    problems: tuple[Problem, ...] = ()
    left_out: Mapping[PurePath, str] = field(default_factory=dict[PurePath, str])

    def text(self, definition: Asset | Metric) -> str:
        """Return the text that an asset or a metric was read from."""
        return self.texts[definition.path]

    def without_file(self, applied: "Catalog") -> list[str]:
        """Return the assets that are in this catalog only because they are applied, and have no file, not even an
        invalid one."""
        applied_only = {name for name, asset in self.assets.items() if asset is applied.assets.get(name)}
        return sorted(applied_only - set(self.left_out.values()))


NOTHING = Catalog()
NONE: Mapping[PurePath, str] = MappingProxyType({})


def read_texts(
    contracts: Mapping[PurePath, str],
    metrics: Mapping[PurePath, str],
    applied: Catalog = NOTHING,
    unreadable: Sequence[Problem] = (),
    refused: Mapping[PurePath, str] = NONE,
    parse: Callable[[str, PurePath], Asset] = parse_contract,
) -> Catalog:
    """Return the catalog of these texts, merged over the applied one.

    An applied contract is kept if its file is missing or invalid, an applied metric if its file is invalid. A text that
    is `refused`, by its path with the reason, counts as invalid. So does a changed contract that makes an applied
    metric impossible to compute. Texts that are applied already are not parsed a second time.
    """
    problems = [*unreadable, *(Problem(path, 1, "", sentence) for path, sentence in refused.items())]
    usable = {path: text for path, text in contracts.items() if path not in refused}
    assets = _assets(usable, applied, problems, parse)
    parsed, wrong = _metrics({path: text for path, text in metrics.items() if path not in refused}, assets)
    problems += wrong
    left_out = {
        problem.file: _likely_name(problem.file, {**contracts, **metrics}.get(problem.file, "")) for problem in problems
    }
    for name, metric in applied.metrics.items():
        if name not in parsed and name in left_out.values():
            try:
                parsed[name] = parse_metric(applied.text(metric), metric.path, assets)
            except ContractError as error:
                contract = assets[metric.source].path
                if contract not in contracts or contract in refused:
                    raise
                reasons = " ".join(problem.message for problem in error.problems)
                sentence = f"the metric {name} could not be computed any more: {reasons}"
                return read_texts(contracts, metrics, applied, unreadable, {**refused, contract: sentence})
    return Catalog(
        assets,
        dict(sorted(parsed.items())),
        {**applied.texts, **contracts, **metrics},
        tuple(sorted(set(problems))),
        left_out,
    )


def _assets(
    contracts: Mapping[PurePath, str],
    applied: Catalog,
    problems: list[Problem],
    parse: Callable[[str, PurePath], Asset],
) -> dict[str, Asset]:
    known = {applied.text(asset): asset for asset in applied.assets.values()}
    files: list[Asset] = []
    for path, text in contracts.items():
        try:
            files.append(replace(known[text], path=path) if text in known else parse(text, path))
        except ContractError as error:
            problems += error.problems
    while True:
        named = {asset.name for asset in files}
        # Of two assets that exclude each other, keep the one that was applied before.
        unchanged = [asset for asset in applied.assets.values() if asset.name not in named]
        files.sort(key=lambda asset: asset.name not in applied.assets)
        try:
            check_together([*unchanged, *files])
        except ContractError as error:
            remaining = _without(files, error.problems)
            if len(remaining) == len(files):
                raise
            problems += error.problems
            files = remaining
        else:
            return {asset.name: asset for asset in sorted([*unchanged, *files], key=lambda asset: asset.name)}


def _metrics(texts: Mapping[PurePath, str], assets: Mapping[str, Asset]) -> tuple[dict[str, Metric], list[Problem]]:
    metrics: list[Metric] = []
    problems: list[Problem] = []
    for path, text in texts.items():
        try:
            metrics.append(parse_metric(text, path, assets))
        except ContractError as error:
            problems += error.problems
    try:
        check_metrics_together(metrics)
    except ContractError as error:
        problems += error.problems
        metrics = _without(metrics, error.problems)
    return {metric.name: metric for metric in metrics}, problems


def _without(items: Iterable[T], problems: Iterable[Problem]) -> list[T]:
    wrong = {problem.file for problem in problems}
    return [item for item in items if item.path not in wrong]


def _likely_name(path: PurePath, text: str) -> str:
    """Return the likely name of an invalid text, else that of its file."""
    name, major = _NAME.search(text), _MAJOR.search(text)
    if name is None:
        return path.stem
    return f"{name[1]}_v{int(major[1])}" if major and int(major[1]) > 1 else name[1]
