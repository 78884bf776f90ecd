"""Proposal of undeclared payload fields for a contract: an additive change, as text."""

from collections.abc import Sequence

from lake_assets.catalog.compare import compare
from lake_assets.catalog.csv_dialect import SampleError
from lake_assets.catalog.infer import InferredField, optional_fields
from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import TABLE, parse_contract
from lake_assets.catalog.render import field_line
from lake_assets.catalog.sample import read_sample
from lake_assets.catalog.source import Source, read_source
from lake_assets.errors import LakeError

# Added by the reader of CSV files, for cells of a row beyond its header.
_NO_FIELD = "_extra_cells"


def new_fields(asset: Asset, extras: Sequence[str]) -> tuple[InferredField, ...]:
    """Infer optional fields from the JSON objects of `_extra`; none for keys that are always null."""
    declared = {field.payload_key for field in asset.fields if not field.is_derived}
    try:
        sample = read_sample("\n".join(extras).encode())
    except SampleError:
        # Not one value in it.
        return ()
    fields = optional_fields(sample, {field.name for field in asset.fields})
    return tuple(column for column in fields if column.source != _NO_FIELD and column.source not in declared)


def evolved(text: str, asset: Asset, fields: Sequence[InferredField]) -> str:
    """Return the contract's text with these fields added at the end, and the next minor version.

    Nothing else is changed, comments included. Raises LakeError, with the lines to add by hand, when the layout of the
    text does not allow to insert lines.
    """
    source = read_source(text, asset.path)
    lines = text.splitlines(keepends=True)
    at, indent = _behind_last_field(source, lines, len(asset.fields))
    added = [f"{indent}{field_line(column, 0).lstrip()}\n" for column in fields]
    version = source.line(("version",)) - 1
    major, minor, _ = asset.version.split(".")
    new_version = f"{major}.{int(minor) + 1}.0"
    lines[version] = lines[version].replace(asset.version, new_version, 1)
    if at and not lines[at - 1].endswith("\n"):
        lines[at - 1] += "\n"
    result = "".join([*lines[:at], *added, *lines[at:]])
    try:
        after = parse_contract(result, asset.path)
    except LakeError:
        after = None
    known = {field.name for field in asset.fields}
    if (
        after is None
        or after.version != new_version
        or [f.name for f in after.fields if f.name not in known] != [column.name for column in fields]
        or any(difference.kind == "breaking" for difference in compare(asset, after).differences)
    ):
        raise LakeError(
            f"{asset.path} does not have one line per field, so change it by hand: raise its version to "
            f"{new_version}, and add\n{''.join(added)}"
        )
    return result


def _behind_last_field(source: Source, lines: Sequence[str], fields: int) -> tuple[int, str]:
    """Return the index of the line after the last field (from 0), and the indentation of its dash."""
    last = source.line((*TABLE, "properties", fields - 1)) - 1
    indent = len(lines[last]) - len(lines[last].lstrip())
    at = last + 1
    while at < len(lines) and lines[at].strip() and len(lines[at]) - len(lines[at].lstrip()) > indent:
        at += 1
    return at, lines[last][:indent]
