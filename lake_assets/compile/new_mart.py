"""First files of a mart: SQL and YAML from the contracts of the `stg_` models that it reads.

What a contract does not prove is left to the author, in a comment with the word FILL IN. The files are valid as they
are, so that the author begins with a mart that can be built.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lake_assets.catalog.model import Asset, Field
from lake_assets.catalog.names import FIELD_NAME_LENGTH, SYSTEM_COLUMNS
from lake_assets.catalog.render import scalar
from lake_assets.compile.dbt_sources import quoted_text, staging_model

FILL_IN = "FILL IN"
# Fields of these names identify something else in each asset: equal names prove nothing.
_GENERIC = frozenset({
    "id", "key", "uuid", "guid", "code", "name", "number", "no", "nr", "ref", "reference", "type", "version", "index",
    "position", "line", "sequence", "date", "day", "month", "year", "time", "timestamp",
})  # fmt: skip
# dbt's portable types. BigQuery has no `double`.
_TYPES = {
    "string": "string",
    "json": "string",
    "boolean": "boolean",
    "integer": "bigint",
    "date": "date",
    "timestamp": "timestamp",
    "double": "\"{{ 'float64' if target.type == 'bigquery' else 'double' }}\"",
}
_SAMPLES = {
    "string": "'a'",
    "json": "'{}'",
    "boolean": "true",
    "integer": "1",
    "double": "1.5",
    "date": "date '2026-03-01'",
    "timestamp": "timestamp '2026-03-01 12:00:00'",
}


@dataclass(frozen=True, slots=True)
class Join:
    """A join that adds no rows: `partner`, joined before, has all fields of the asset's key."""

    asset: Asset
    partner: Asset

    def condition(self, tables: Mapping[str, str]) -> str:
        """Return the condition, with the name of each asset's CTE."""
        pairs = ((f"{tables[self.partner.name]}.{f}", f"{tables[self.asset.name]}.{f}") for f in self.asset.key)
        return " and ".join(f"{left} = {right}" for left, right in pairs)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the mart, from a field of one asset."""

    name: str
    asset: Asset
    field: Field
    is_required: bool


@dataclass(frozen=True, slots=True)
class NewMart:
    """The texts of a mart's two files, and the facts that its author should know."""

    sql: str
    yaml: str
    joined: tuple[str, ...]
    unjoined: tuple[str, ...]
    left_out: tuple[str, ...]


def new_mart(name: str, assets: Sequence[Asset]) -> NewMart:
    """Render the mart's files. The asset of which the mart has one row each comes first, by the joins that exist."""
    base, joins = find_joins(assets)
    joined = [base, *(join.asset for join in joins)]
    unjoined = [asset for asset in assets if asset not in joined]
    tables = {asset.name: f"{asset.name}_rows" if asset.name == "final" else asset.name for asset in assets}
    columns = list(_columns([*joined, *unjoined], joins))
    return NewMart(
        sql=_sql(joined, unjoined, joins, columns, tables),
        yaml=_yaml(name, joined, unjoined, joins, columns),
        joined=tuple(f"{staging_model(join.asset)} on {join.condition(tables)}" for join in joins),
        unjoined=tuple(staging_model(asset) for asset in unjoined),
        left_out=tuple(f"{staging_model(a)}.{f.name}" for a in assets for f in a.fields if not f.is_shown),
    )


def find_joins(assets: Sequence[Asset]) -> tuple[Asset, tuple[Join, ...]]:
    """Return the asset from which most of the others can be joined without more rows, and these joins in their order.

    Of equally good assets the first is returned.
    """
    return max(((base, _joins_from(base, assets)) for base in assets), key=lambda found: len(found[1]))


def _joins_from(base: Asset, assets: Sequence[Asset]) -> tuple[Join, ...]:
    joined, joins = [base], list[Join]()
    # The list grows: what is joined may have the key of a further asset.
    for partner in joined:
        for asset in assets:
            if asset not in joined and _has_key_of(partner, asset):
                joined.append(asset)
                joins.append(Join(asset, partner))
    return tuple(joins)


def _has_key_of(partner: Asset, asset: Asset) -> bool:
    """Return True if each row of the partner has the key of one row of the asset, at most."""
    if not set(asset.key) - _GENERIC:
        return False
    fields = {field.name: field for field in partner.fields if field.is_shown}
    own = {field.name: field for field in asset.fields if field.is_shown}
    return all(
        name in fields
        and name in own
        and (fields[name].type, fields[name].protection) == (own[name].type, own[name].protection)
        for name in asset.key
    )


def _columns(assets: Sequence[Asset], joins: Sequence[Join]) -> Iterator[_Column]:
    """Yield the columns; a name that is in use gets the asset's name before it. Keys of joins occur once."""
    used = set[str]()
    join_keys = {join.asset.name: join.asset.key for join in joins}
    for position, asset in enumerate(assets):
        for field in asset.fields:
            if field.is_shown and field.name not in join_keys.get(asset.name, ()):
                name = _free_name(field.name, asset, used)
                used.add(name)
                yield _Column(name, asset, field, field.required and position == 0)


def _free_name(name: str, asset: Asset, used: set[str]) -> str:
    taken = used | SYSTEM_COLUMNS
    candidates = [name, f"{asset.name}_{name}", *(f"{name[: FIELD_NAME_LENGTH - 4]}_{n}" for n in range(2, 1000))]
    return next(c for c in candidates if c not in taken and len(c) <= FIELD_NAME_LENGTH)


def _sql(
    joined: Sequence[Asset],
    unjoined: Sequence[Asset],
    joins: Sequence[Join],
    columns: Sequence[_Column],
    tables: Mapping[str, str],
) -> str:
    base = joined[0]
    ctes = [
        f"{tables[asset.name]} as (\n\n  select * from {{{{ ref('{staging_model(asset)}') }}}}\n\n)"
        for asset in (*joined, *unjoined)
    ]
    lines = ["  select"]
    lines.append(
        ",\n".join(f"    {_selected(c, tables, alone=len(tables) == 1)}" for c in columns if c.asset in joined)
    )
    for asset in unjoined:
        lines.append(f"    -- {FILL_IN} the join of {tables[asset.name]} below, then take its columns:")
        lines += [f"    -- , {_selected(c, tables)}" for c in columns if c.asset is asset]
    lines.append(f"  from {tables[base.name]}")
    for join in joins:
        lines.append(
            f"  -- Adds no rows: {staging_model(join.asset)} has one row for each {' and '.join(join.asset.key)}."
        )
        lines.append(f"  left join {tables[join.asset.name]} on {join.condition(tables)}")
    for asset in unjoined:
        table = tables[asset.name]
        lines.append(f"  -- {FILL_IN} the join: the contracts have no common key that proves one.")
        lines.append(f"  -- left join {table} on {tables[base.name]}.FIELD = {table}.FIELD")
    final = "final as (\n\n" + "\n".join(lines) + "\n\n)"
    return "with\n\n" + ",\n\n".join([*ctes, final]) + "\n\nselect * from final\n"


def _selected(column: _Column, tables: Mapping[str, str], *, alone: bool = False) -> str:
    source = column.field.name if alone else f"{tables[column.asset.name]}.{column.field.name}"
    if column.field.type.name == "timestamp":
        # Staging has times with a zone where the target has such a type; in a mart they are UTC.
        return f"cast({source} as timestamp) as {column.name}"
    return source if column.name == column.field.name else f"{source} as {column.name}"


def _yaml(
    name: str, joined: Sequence[Asset], unjoined: Sequence[Asset], joins: Sequence[Join], columns: Sequence[_Column]
) -> str:
    base = joined[0]
    owners = list(dict.fromkeys(owner for asset in (*joined, *unjoined) for owner in asset.owners))
    lines = [
        "models:",
        f"  - name: {name}",
        f"    # {FILL_IN}: one sentence about the mart and what one row is.",
        f"    description: {quoted_text(base.description or f'Rows of {base.name}.')}",
        "    config:",
        "      meta:",
        f"        owners: [{', '.join(map(quoted_text, owners))}]",
        *_grain(base),
        "    columns:",
        *(line for column in columns if column.asset in joined for line in _column(column)),
    ]
    for asset in unjoined:
        lines.append(f"      # {FILL_IN} the join of {staging_model(asset)} in the SQL, then declare its columns:")
        lines += [f"      # {line[6:]}" for c in columns if c.asset is asset for line in _column(c)]
    lines += [
        "",
        "exposures:",
        f"  # {FILL_IN}: who uses the mart, and for what.",
        f"  - name: {name}_use",
        "    type: analysis",
        f"    description: Use of {name}.",
        f"    owner: {{name: {scalar(owners[0].partition('@')[0])}, email: {scalar(owners[0])}}}",
        f"    depends_on: [ref('{name}')]",
        "",
        "unit_tests:",
        f"  # {FILL_IN}: rows that show the rules of the mart. These show only that a row finds its partners.",
        f"  - name: a_row_of_{base.name}_is_a_row_of_{name}",
        f"    model: {name}",
        "    given:",
        *(line for asset in (*joined, *unjoined) for line in _given(asset, joins, columns)),
        "    expect:",
        "      format: sql",
        "      rows: |",
        *_row([(c.field, c.name) for c in columns if c.asset in joined]),
    ]
    return "\n".join(lines) + "\n"


def _grain(base: Asset) -> list[str]:
    shown = {field.name for field in base.fields if field.is_shown}
    if not base.key or not shown.issuperset(base.key):
        return [
            f"    # {FILL_IN} the grain: {staging_model(base)} shows no key.",
            "    # data_tests: [{grain: {arguments: {columns: [COLUMN]}}}]",
        ]
    columns = ", ".join(base.key)
    return ["    data_tests:", "      - grain:", "          arguments:", f"            columns: [{columns}]"]


def _column(column: _Column) -> list[str]:
    kind = column.field.type
    type_name = f"decimal({kind.precision}, {kind.scale})" if kind.name == "decimal" else _TYPES[kind.name]
    description = column.field.description or f"{column.field.name} of {column.asset.name}."
    lines = [
        f"      - name: {scalar(column.name)}",
        f"        description: {quoted_text(description)}",
        f"        data_type: {type_name}",
    ]
    return [*lines, "        constraints: [{type: not_null}]"] if column.is_required else lines


def _given(asset: Asset, joins: Sequence[Join], columns: Sequence[_Column]) -> list[str]:
    keys = {name for join in joins if asset in (join.asset, join.partner) for name in join.asset.key}
    used = keys | {column.field.name for column in columns if column.asset is asset}
    row = _row([(field, field.name) for field in asset.fields if field.name in used])
    return [
        f"      - input: ref('{staging_model(asset)}')",
        "        format: sql",
        "        rows: |",
        *(f"  {line}" for line in row),
    ]


def _row(fields: Sequence[tuple[Field, str]]) -> list[str]:
    """Render a SELECT of one row, indented for a block of YAML."""
    lines = [f"          {_sample(field)} as {name}," for field, name in fields]
    return ["        select", *lines[:-1], lines[-1].removesuffix(",")]


def _sample(field: Field) -> str:
    kind = field.type
    if kind.name == "decimal":
        return "1" if (kind.precision or 0) > (kind.scale or 0) else "0"
    return _SAMPLES[kind.name]
