"""A file through `lake new`, the lines of `lake produce` and conform's judge, without a stack; and the table of all."""

import json
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from lake_assets.catalog.infer import Inferred, infer
from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.render import render_contract
from lake_assets.catalog.sample import read_sample
from lake_assets.compile.judge import judge_sql
from lake_assets.errors import LakeError
from lake_assets.landing.inputs import opened, sample_of
from lake_assets.landing.lines import event_lines
from tests.strangers.shapes import SHAPES, Shape

HEAD = """\
# Strangers' files

Shapes of files that nobody made for this lake, each through `lake new` and its rules with nothing edited. The table is
made by `python -m tests.strangers.through > docs/strangers.md`.

| file | event time | window | rows | in quarantine | key |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a file."""

    inferred: Inferred
    asset: Asset
    events: list[bytes]
    rows: list[dict[str, Any]]

    @property
    def quarantined(self) -> int:
        return sum(row["_errors"] is not None for row in self.rows)


def through(shape: Shape, folder: Path) -> Outcome:
    """Raises LakeError where the file is refused."""
    path = folder / shape.file
    path.write_bytes(shape.data)
    data, _, form = sample_of([str(path)], 8 << 20)
    inferred = infer(read_sample(data, form))
    text = render_contract(inferred, name="x", domain="shop", owner="a@example.com", owner_is_known=True, of="x")
    asset = parse_contract(text, PurePath("x.yaml"))
    with opened(str(path)) as (source, _):
        events = list(event_lines(source.lines, source.name, source.form, asset.encoding))
    return Outcome(inferred, asset, events, _judged(asset, events))


def _judged(asset: Asset, events: list[bytes]) -> list[dict[str, Any]]:
    with duckdb.connect() as session:
        session.execute("set timezone = 'UTC'; set threads = 1")
        session.execute(
            "create table raw (payload blob, _key blob, _topic varchar, _partition integer, _offset bigint, "
            "_timestamp timestamptz)"
        )
        session.executemany(
            "insert into raw values (?, null, 't', 0, ?, now())", [(event, at) for at, event in enumerate(events)]
        )
        result = session.execute(f"select * from ({judge_sql(asset, 'raw')}) order by _offset")
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def sums(outcome: Outcome) -> dict[str, tuple[Decimal, Decimal]]:
    """By numeric column the sum of the good rows, and that of what the events say, read by nothing but `json`."""
    found: dict[str, tuple[Decimal, Decimal]] = {}
    for field in outcome.asset.fields:
        if field.type.name not in ("integer", "decimal", "double"):
            continue
        ours = plain = Decimal(0)
        for row, event in zip(outcome.rows, outcome.events, strict=True):
            if row["_errors"] is None:
                value = json.loads(event, parse_float=Decimal).get(field.payload_key)
                text = "" if value is None else str(value).strip()
                if field.format:
                    text = text.replace(".", "").replace(",", ".")
                ours += Decimal(str(row[field.name] or 0))
                plain += Decimal(text) if text not in ("", "NA") else 0
        found[field.name] = (ours, plain)
    return found


def table() -> str:
    lines: list[str] = []
    with TemporaryDirectory() as folder:
        for shape in SHAPES:
            try:
                outcome = through(shape, Path(folder))
            except LakeError as error:
                sentence = str(error).replace(f"{folder}/", "")
                lines.append(f"| {shape.name} | refused: {sentence} | | | | |")
                continue
            asset = outcome.asset
            time = asset.event_time or "the time of sending"
            form = asset.field(asset.event_time).format if asset.event_time else None
            shown = f"{time}{f' as `{form}`' if form else ''}"
            lines.append(
                f"| {shape.name} | {shown} | {asset.window} | {len(outcome.rows)} | {outcome.quarantined} | "
                f"{', '.join(asset.key) or 'none'} |"
            )
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(table())
