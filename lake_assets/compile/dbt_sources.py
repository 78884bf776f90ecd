"""An asset in dbt: the source, and the `stg_` model with the latest state of each key.

Both are generated, because a hand-written copy of a schema is a second schema. The model is ephemeral: it becomes a CTE
of the marts that use it. So it needs no build and no grant, and its SQL is the same on every target.
"""

import json
import re
from pathlib import PurePosixPath

from lake_assets.catalog.model import Asset, Field
from lake_assets.catalog.render import scalar

_HEADER = "Generated from the contract of {name} by `lake apply`: edit the contract, not this file."


def dbt_files(asset: Asset) -> dict[PurePosixPath, str]:
    """Return the generated files' texts by path under `models/staging`, in path order."""
    stem = PurePosixPath(asset.dataset) / staging_model(asset)
    return {stem.with_suffix(".sql"): staging_sql(asset), stem.with_suffix(".yml"): source_yaml(asset)}


def staging_model(asset: Asset) -> str:
    """Return the model's name for `ref()`."""
    return f"stg_{asset.name}"


def staging_sql(asset: Asset) -> str:
    """Render the model: declared fields that marts may have, one row per key.

    A window has one row per key, but a key may appear again in a later window, so staging is a history. The lake's own
    fields (with a leading underscore) select the latest row and are not passed on.
    """
    columns = "\n".join(f"  {field.name}," for field in asset.fields if field.is_shown).removesuffix(",")
    source = f"{{{{ source('{asset.staging_schema}', '{asset.name}') }}}}"
    header = f"-- {_HEADER.format(name=asset.name)}\n"
    if not asset.key:
        return f"{header}select\n{columns}\nfrom {source}\n"
    key = ", ".join(asset.key)
    return f"""\
{header}with

history as (

  select
    *,
    row_number() over (
      partition by {key}
      order by _event_at desc, _kafka_partition desc, _offset desc
    ) as _age
  from {source}

)

select
{columns}
from history
where _age = 1
"""


def source_yaml(asset: Asset) -> str:
    """Render the source with its columns, and the description of the model."""
    description = quoted_text(asset.description)
    hidden = ", ".join(field.name for field in asset.fields if not field.is_shown)
    left_out = f"Left out, because marts may not have what is confidential: {hidden}." if hidden else ""
    grain = f"The latest state of each {' and '.join(asset.key)}." if asset.key else "Every event."
    lines = [
        f"# {_HEADER.format(name=asset.name)}",
        "sources:",
        f"  - name: {asset.staging_schema}",
        f"    schema: {asset.staging_schema}",
        "    database: \"{{ 'lake' if target.type == 'duckdb' else target.database }}\"",
        "    tables:",
        f"      - name: {scalar(asset.name)}",
        f"        description: {description}",
        "        config:",
        "          meta:",
        f"            contract: {quoted_text(asset.version)}",
        f"            owners: {json.dumps(list(asset.owners), ensure_ascii=False)}",
        "        columns:",
        *_columns(asset.fields, 10, with_types=True),
        "",
        "models:",
        f"  - name: {staging_model(asset)}",
        f"    description: {quoted_text(' '.join(filter(None, (asset.description, grain, left_out))))}",
        "    columns:",
        *_columns(tuple(field for field in asset.fields if field.is_shown), 6, with_types=False),
    ]
    return "\n".join(lines) + "\n"


def _columns(fields: tuple[Field, ...], spaces: int, *, with_types: bool) -> list[str]:
    margin = " " * spaces
    lines: list[str] = []
    for field in fields:
        lines.append(f"{margin}- name: {scalar(field.name)}")
        if with_types:
            lines.append(f"{margin}  data_type: {quoted_text(str(field.type))}")
        if field.description:
            lines.append(f"{margin}  description: {quoted_text(field.description)}")
    return lines


def quoted_text(text: str) -> str:
    """Quote a YAML string. dbt renders descriptions as Jinja, so a contract's braces must not open an expression."""
    quoted = json.dumps(re.sub(r"\{(?=[{%#])", "{ ", text), ensure_ascii=False)
    if quoted.isprintable():
        return quoted
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
