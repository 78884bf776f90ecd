"""A file through `lake new`, `lake produce` and conform without a stack, and the page of all results."""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import yaml

from lake_assets.catalog.infer import Inferred, InferredField, infer
from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.render import render_contract
from lake_assets.catalog.sample import read_sample
from lake_assets.compile.judge import judge_sql
from lake_assets.errors import LakeError
from lake_assets.landing.inputs import opened, sample_of
from lake_assets.landing.lines import event_lines
from tests.support.strangers.corpus import CORPUS
from tests.support.strangers.shape import Shape

TRUTH = Path(__file__).parents[2] / "strangers" / "truth.yaml"
HEAD = """\
# Strangers' files

Files that were not made for this lake: excerpts of public data sets, and shapes that such files have, each through
`lake new` with nothing edited, and its rows through the contract's rules. `make strangers` takes all of them through a
running lake as well, where each row must be in staging or quarantine, and each sum must be the one that plain Python
reads from the file. This page is made by `python -m tests.support.strangers.pipeline > docs/strangers.md`.

"""


@dataclass(frozen=True)
class Outcome:
    """Result of a file."""

    inferred: Inferred
    asset: Asset
    rows: list[dict[str, Any]]

    @property
    def quarantined(self) -> tuple[int, ...]:
        return tuple(at for at, row in enumerate(self.rows) if row["_errors"] is not None)


@cache
def through(shape: Shape) -> Outcome:
    """Send the file through. Raise LakeError where it is refused."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / shape.file
        path.write_bytes(shape.data)
        return _through(path)


def _through(path: Path) -> Outcome:
    data, _, form = sample_of([str(path)], 8 << 20)
    inferred = infer(read_sample(data, form))
    text = render_contract(inferred, name="x", domain="shop", owner="a@example.com", owner_is_known=True, origin="x")
    asset = parse_contract(text, PurePath("x.yaml"))
    with opened(str(path)) as (source, _):
        events = list(event_lines(source.lines, source.name, source.form, asset.encoding))
    return Outcome(inferred, asset, _judged(asset, events))


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


def guesses(inferred: Inferred) -> dict[str, str]:
    """Return the decision about each column, in the words of `truth.yaml`."""
    return {one.name: _guess(one, one.name == inferred.event_time) for one in inferred.fields}


def _guess(one: InferredField, is_event_time: bool) -> str:
    words = [one.type.logical, one.type.format or ""]
    words += [one.type.thousands and f"thousands {one.type.thousands}", one.type.unit and f"unit {one.type.unit}"]
    words += ["key" if one.key_position else "", "event time" if is_event_time else ""]
    return ", ".join(filter(None, [*words, "personal" if one.personal else ""]))


@cache
def truth() -> dict[str, dict[str, str]]:
    """Return the meaning of each column, by a person who knows the data; one of many that are alike."""
    return yaml.safe_load(TRUTH.read_text("utf-8"))


def wrong(shape: Shape, inferred: Inferred) -> dict[str, tuple[str, str]]:
    """The guesses that are wrong, by column, with what is right."""
    made = guesses(inferred)
    return {name: (made[name], right) for name, right in truth()[shape.name].items() if made[name] != right}


def page() -> str:
    """Return `docs/strangers.md`."""
    accepted: list[tuple[Shape, Outcome]] = []
    refused: list[tuple[Shape, str]] = []
    for shape in CORPUS:
        try:
            accepted.append((shape, through(shape)))
        except LakeError as error:
            refused.append((shape, re.sub(r"'[^']*/", "'", str(error))))
    return HEAD + "\n".join([*_measures(accepted, len(refused)), *_accepted(accepted), *_refused(refused), *_sources()])


def _measures(accepted: list[tuple[Shape, Outcome]], refused: int) -> Iterator[str]:
    whole = sum(outcome.quarantined == shape.bad for shape, outcome in accepted)
    total = len(accepted) + refused
    yield "| measure | excerpts of real data | shapes |\n|---|---|---|"
    columns, mistakes = [0, 0], [0, 0]
    for shape, outcome in accepted:
        columns[not shape.source] += len(truth()[shape.name])
        mistakes[not shape.source] += len(wrong(shape, outcome.inferred))
    files = [sum(bool(shape.source) is real for shape in CORPUS) for real in (True, False)]
    yield f"| files | {files[0]} | {files[1]} |"
    yield f"| columns guessed | {columns[0]} | {columns[1]} |"
    shares = [100 * bad / count for bad, count in zip(mistakes, columns, strict=True)]
    yield f"| wrong guesses in a hundred columns | {shares[0]:.1f} | {shares[1]:.1f} |\n"
    tables = sum(shape.is_table for shape in CORPUS)
    yield (
        f"Of {total} files {whole} go through whole and unedited, which is {100 * whole / tables:.0f} % of the "
        f"{tables} that hold a table, and {refused} are refused with a sentence that has the remedy.\n"
    )


def _accepted(accepted: list[tuple[Shape, Outcome]]) -> Iterator[str]:
    yield "## Accepted\n"
    yield "| file | event time | window | rows | in quarantine | key | guessed wrong |\n|---|---|---|---|---|---|---|"
    for shape, outcome in accepted:
        asset = outcome.asset
        time = asset.event_time or "the time of sending"
        form = asset.field(asset.event_time).format if asset.event_time else None
        mistakes = [f"{name} is {right}" for name, (_, right) in wrong(shape, outcome.inferred).items()]
        cells = (
            shape.name,
            f"{time}{f' as `{form}`' if form else ''}",
            asset.window,
            len(outcome.rows),
            len(outcome.quarantined),
            ", ".join(asset.key) or "none",
            "; ".join(mistakes),
        )
        yield f"| {' | '.join(map(str, cells))} |"


def _refused(refused: list[tuple[Shape, str]]) -> Iterator[str]:
    yield "\n## Refused\n"
    yield "| file | sentence |\n|---|---|"
    for shape, sentence in refused:
        yield f"| {shape.name} | {sentence} |"


def _sources() -> Iterator[str]:
    yield "\n## Sources of the excerpts\n"
    yield "Some forty rows of each, unchanged but for the number of rows, in `tests/strangers/data`.\n"
    yield "| excerpt | source | licence |\n|---|---|---|"
    for shape in CORPUS:
        if shape.source:
            yield f"| {shape.name} | {shape.source} | {shape.licence} |"
    yield ""


if __name__ == "__main__":
    sys.stdout.write(page())
