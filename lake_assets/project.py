"""Reads the catalog folder from disk; the parsing itself is pure and lives in `catalog`."""

from collections.abc import Mapping
from pathlib import Path

from lake_assets.catalog.metric import Metric
from lake_assets.catalog.metric_parse import check_metrics_together, parse_metric
from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import check_together, parse_contract
from lake_assets.catalog.problems import ContractError, Problem
from lake_assets.settings import Settings


def read_catalog(settings: Settings) -> dict[str, Asset]:
    """All assets by name, in name order. Raises ContractError, which lists every problem of every contract."""
    assets: list[Asset] = []
    problems: list[Problem] = []
    for path in sorted((settings.catalog / "assets").glob("*.yaml")):
        try:
            assets.append(parse_contract(_read_text(path), path))
        except ContractError as error:
            problems.extend(error.problems)
    try:
        check_together(assets)
    except ContractError as error:
        problems.extend(error.problems)
    if problems:
        raise ContractError(problems)
    return {asset.name: asset for asset in sorted(assets, key=lambda asset: asset.name)}


def read_metrics(settings: Settings, assets: Mapping[str, Asset]) -> dict[str, Metric]:
    """All metrics by name, in name order. Raises ContractError, which lists every problem of every metric."""
    metrics: list[Metric] = []
    problems: list[Problem] = []
    for path in sorted((settings.catalog / "metrics").glob("*.yaml")):
        try:
            metrics.append(parse_metric(_read_text(path), path, assets))
        except ContractError as error:
            problems.extend(error.problems)
    try:
        check_metrics_together(metrics)
    except ContractError as error:
        problems.extend(error.problems)
    if problems:
        raise ContractError(problems)
    return {metric.name: metric for metric in sorted(metrics, key=lambda metric: metric.name)}


def contract_text(asset: Asset) -> str:
    """The text of the file that an asset was read from."""
    return Path(asset.path).read_text("utf-8")


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise ContractError([Problem(path, line, "", "holds bytes that are not UTF-8; save it as UTF-8.")]) from None
