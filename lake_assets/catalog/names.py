"""Rules for names: all warehouses accept them without quotes, and headers of files are converted to them."""

import re
import unicodedata

NAME_PATTERN = "^[a-z][a-z0-9_]*$"
FIELD_NAME_LENGTH = 63
# The longest name made from an asset's is NAME_v99_quarantine, and Postgres cuts a name at 63 characters.
ASSET_NAME_LENGTH = 48

# Reserved in at least one of DuckDB and Postgres, BigQuery, Athena (Trino): as a column each would need quotes there.
_RESERVED_WORDS = """
    all alter analyse analyze and anti any array as asc asof assert_rows_modified asymmetric at authorization between
    binary both by case cast check collate collation column concurrently constraint contains create cross cube current
    current_catalog current_date current_path current_role current_schema current_time current_timestamp current_user
    deallocate default deferrable delete desc describe distinct do drop else end enum escape except exclude execute
    exists extract false fetch first following for foreign freeze from full glob grant group grouping groups hash
    having if ignore ilike in initially inner insert intersect interval into is isnull join json_array json_exists
    json_object json_query json_table json_value lambda last lateral leading left like limit listagg localtime
    localtimestamp lookup merge natural new no normalize not notnull null nulls of offset on only or order outer over
    overlaps partition pivot pivot_longer pivot_wider placing positional preceding prepare primary proto qualify range
    recursive references respect returning right rollup rows select semi session_user set show similar skip some struct
    summarize symmetric system_user table tablesample then to trailing treat trim true uescape unbounded union unique
    unnest unpack unpivot user using values variadic verbose when where window with within
"""
RESERVED = frozenset(_RESERVED_WORDS.split())
# System columns of Postgres: legal in staging, but not in marts and metrics, which are tables in Postgres.
SYSTEM_COLUMNS = frozenset(["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"])
# DuckDB's pseudo-column, hidden by a column of that name. It works, but is surprising in SQL written by hand.
_HIDING = frozenset({"rowid"})


def name_problem(name: str, longest: int = FIELD_NAME_LENGTH) -> str | None:
    """Return the reason, as the end of a sentence, for which a name cannot be a column or a table; else None."""
    if name.startswith("_"):
        return "begins with an underscore, as the lake's own columns do; begin with a letter."
    if not re.fullmatch(NAME_PATTERN[1:-1], name):
        return f"is not a name: use a to z, 0 to 9 and _, beginning with a letter, such as '{field_name(name)}'."
    if len(name) > longest:
        return f"has {len(name)} characters; {longest} is the most."
    if name in RESERVED:
        return f"is a reserved word of SQL; use another, such as '{name}_' (a field keeps its key in physicalName)."
    return None


def field_name(header: str) -> str:
    """Convert a header to a legal field name: 'Order ID (€)' becomes order_id, 'user' becomes user_.

    Accents are dropped, camelCase is split, a header without letters becomes 'field'. Deterministic.
    """
    plain = unicodedata.normalize("NFKD", header.replace("ß", "ss")).encode("ascii", "ignore").decode()
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plain)
    name = re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")
    if not name:
        return "field"
    if not name[0].isalpha():
        name = f"n_{name}"
    name = name[:FIELD_NAME_LENGTH].rstrip("_")
    return f"{name}_" if name in RESERVED | SYSTEM_COLUMNS | _HIDING else name
