"""Failures of models in dbt's output, as sentences for their owners: model, cause, column, owner and next step."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lake_assets.dbt.manifest import Manifest

Node = Mapping[str, Any]
# dbt begins the error of a node so; the error itself follows until the next one.
_BEGIN = re.compile(r"(\w+ Error|Failure) in (?:model|snapshot|seed) (\w+) \([^)]+\)")
_ANY_BEGIN = re.compile(r"(?:\w+ Error in|Failure in) \w+ \w+ \([^)]+\)")
_COLUMNS = (
    re.compile(
        r"""\b[Cc]olumn(?: name)?:? ["'`]?([A-Za-z_]\w*)["'`]?(?= not found|[^\w]*(?:cannot|does not|of relation))"""
    ),
    re.compile(r"""\bcolumn named "(\w+)\""""),
    re.compile(r"""(?:NOT NULL constraint failed: |null value in column )["\w.]*?"?(\w+)"?(?=\s|$|")"""),
    re.compile(r"""(?:Unrecognized name: |Name )`?(\w+)`?(?= not found| at |;|$)"""),
    # A row of the table in which dbt shows where a model differs from its contract.
    re.compile(r"^\s*\|\s*(?!column_name\b)([A-Za-z_]\w*)\s*\|.*\|.*\|", re.MULTILINE),
)
# dbt's own macros, through which the model came to it.
_MACROS = re.compile(r"^\s*> (?:in|called by) .*\n?", re.MULTILINE)
# Postgres shows the row that it refuses, with all of its values; notifications carry this text out of the lake.
_ROW = re.compile(r"^\s*DETAIL:.*", re.MULTILINE | re.DOTALL)
_LONGEST = 600


def failure_sentences(output: str, manifest: Manifest, project: Path, work: Path) -> list[str]:
    """Return a paragraph for each model that failed by dbt's output. Paths are those that the author edits.

    `work` is dbt's folder of that call. It keeps the compiled SQL, to which the lines of a database's error belong.
    """
    models = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    return [
        _paragraph(models[name], cause, project, work)
        for name, cause in dict(_causes(output)).items()
        if name in models
    ]


def failed_columns(cause: str) -> list[str]:
    """Return the columns that an error of DuckDB, Postgres, BigQuery, Athena or of dbt's contract names."""
    return list(dict.fromkeys(match[1] for pattern in _COLUMNS for match in pattern.finditer(cause)))


def _causes(output: str) -> Iterator[tuple[str, str]]:
    for match in _BEGIN.finditer(output):
        end = _ANY_BEGIN.search(output, match.end())
        text = _ROW.sub("", _MACROS.sub("", output[match.end() : end.start() if end else len(output)]))
        yield match[2], f"{match[1]}: {text.strip()}"


def _paragraph(node: Node, cause: str, project: Path, work: Path) -> str:
    owners = node["config"].get("meta", {}).get("owners") or ["unknown: add `owners` to its YAML"]
    columns = failed_columns(cause)
    compiled = work / "compiled" / node["package_name"] / node["original_file_path"]
    short = cause if len(cause) <= _LONGEST else f"{cause[:_LONGEST]} …"
    lines = (
        f"The model {node['schema']}.{node['alias']} was not built: {short}",
        f"Column: {', '.join(columns)}." if columns else "",
        f"Owner: {', '.join(owners)}.",
        f"Next step: correct {project / node['original_file_path']}, or its YAML; it is then built by itself. "
        f"To try it before: `lake-dbt build --select {node['name']}`.",
        f"The SQL that ran: {compiled}" if compiled.is_file() else "",
    )
    return "\n".join(filter(None, lines))
