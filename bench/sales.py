"""Raw rows of `sales`, clean or dirty, and the count and checksum for comparing outputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

CLEAN = {
    "KEY": "i",
    "REGION": "['north', 'south', 'east', 'west'][1 + i % 4]",
    "NOTE": "''",
}
# 2 % with a region that is not allowed, 1 % with the key of another row, 5 % with a field that is not declared.
DIRTY = {
    "KEY": "(case when i % 100 = 9 then i - 9 else i end)",
    "REGION": f"(case when i % 50 = 7 then 'atlantis' else {CLEAN['REGION']} end)",
    "NOTE": """(case when i % 20 = 3 then '"note":"by telephone",' else '' end)""",
}
DATA = {"clean": CLEAN, "dirty": DIRTY}
_TEMPLATE = """\
copy (
  select
    encode('{"order_id":"o-' || KEY || '","region":"' || REGION
      || '","product":"p' || (i % 50) || '",' || NOTE || '"quantity":' || (1 + i % 5)
      || ',"amount":"' || cast((i % 100000) / 100.0 as decimal(12, 2))
      || '","customer":{"segment":"private","number":' || (i % 10000) || '},"ordered_at":"'
      || strftime(timestamp '2026-01-01' + interval (i % 86000) second, '%Y-%m-%dT%H:%M:%SZ') || '"}') as payload,
    encode('o-' || KEY) as _key, 'shop.sales' as _topic, cast(i % 4 as integer) as _partition, i // 4 as _offset,
    make_timestamptz(epoch_us(timestamp '2026-01-01' + interval (i % 86000) second)) as _timestamp
  from range(ROWS) as rows (i)
) to 'FILE' (format parquet, compression zstd, row_group_size 122880)"""


def _filled(parts: dict[str, str]) -> str:
    text = _TEMPLATE
    for name, expression in parts.items():
        text = text.replace(name, expression)
    return text


# Clean rows, for other values of ROWS and FILE.
RAW = _filled(CLEAN)


@dataclass(frozen=True)
class Outcome:
    """Result for the raw rows. `checksum` covers the declared fields, partition and offset of the good rows, in any
    order. `quarantined` and `duplicates` are None if a rival does not count them."""

    good: int
    checksum: int
    quarantined: int | None = None
    duplicates: int | None = None

    def differences(self, other: "Outcome") -> list[str]:
        """Return the differences in the counts that both have."""
        names = ("good", "checksum", "quarantined", "duplicates")
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in names]
        return [f"{name}: {a} and {b}" for name, a, b in pairs if None not in (a, b) and a != b]


class OutputsDiffer(Exception):
    """Raised when two ways gave different rows, so that their times cannot be compared."""


def require_equal(outcomes: dict[str, Outcome]) -> None:
    """Raise OutputsDiffer unless all gave the same rows as the first."""
    (first, expected), *others = outcomes.items()
    for name, outcome in others:
        if differences := expected.differences(outcome):
            raise OutputsDiffer(f"{first} and {name}: {'; '.join(differences)}")


def write_raw(folder: Path, rows: int, data: str = "clean", files: int = 1) -> list[str]:
    """Write raw rows to `files` Parquet files of equal size. Return their paths."""
    with duckdb.connect() as session:
        session.execute("set timezone = 'UTC'")
        whole = folder / "whole.parquet"
        session.execute(_filled(DATA[data]).replace("ROWS", str(rows)).replace("FILE", str(whole)))
        if files == 1:
            return [str(whole)]
        each = -(-rows // files)
        paths = [str(folder / f"{number}.parquet") for number in range(files)]
        for number, path in enumerate(paths):
            session.execute(
                f"copy (select * from read_parquet('{whole}') limit {each} offset {number * each}) "
                f"to '{path}' (format parquet, compression zstd)"
            )
        whole.unlink()
        return paths


def good_rows(paths: Sequence[str], partition: str = "_partition") -> tuple[int, int]:
    """Return number and checksum of the good rows in Parquet files; `partition` is the name of that column there."""
    with duckdb.connect() as session:
        session.execute("set timezone = 'UTC'")
        row = session.execute(
            "select count(*), coalesce(sum(cast(hash(order_id, region, product, cast(quantity as bigint), "
            "cast(amount as decimal(12, 2)), cast(customer as varchar), epoch_us(ordered_at), "
            f"cast({partition} as integer), cast(_offset as bigint)) as hugeint)), 0) from read_parquet($paths)",
            {"paths": list(paths)},
        ).fetchone()
    assert row
    return row[0], int(row[1])
