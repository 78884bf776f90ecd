"""`lake diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lake_assets.operations.previews import MartDiff


@click.command()
@click.argument("mart")
@click.option("--as", "analyst", required=True, metavar="ANALYST", help="Analyst for whom the model runs.")
@click.option(
    "--limit",
    type=click.IntRange(0, 100),
    default=5,
    show_default=True,
    help="Samples of rows added, of rows removed, and of changes of each column.",
)
@click.option("--json", "as_json", is_flag=True, help="Print numbers and samples as JSON.")
def command(mart: str, *, analyst: str, limit: int, as_json: bool) -> None:
    """Compare MART as it is in the working tree with the shared mart, on real rows, and build nothing.

    Rows are matched by the mart's grain. The output has the rows added, removed and changed, the changed rows of each
    column, and samples. Rights, limits and the record of each use are those of `lake preview`.

    \b
    Examples:
      lake diff funnel --as ann
      lake diff funnel --as ann --json
    """
    from lake_assets.operations.previews import diff_mart
    from lake_assets.settings import load_settings

    diff = diff_mart(load_settings(), mart, analyst, limit)
    if as_json:
        import dataclasses

        from lake_assets.cli.tables import show_json

        show_json(dataclasses.asdict(diff))
    else:
        _show(diff)


def _show(diff: MartDiff) -> None:
    from lake_assets.cli.tables import show

    rows = [("added", diff.added), ("removed", diff.removed), ("changed", diff.changed), ("equal", diff.same)]
    show(("rows", "number"), rows, f"{diff.mart}, by {', '.join(diff.grain)}")
    columns = [
        *((name, "changed", rows) for name, rows in diff.changed_by_column.items()),
        *((name, "added", None) for name in diff.added_columns),
        *((name, "removed", None) for name in diff.removed_columns),
    ]
    if columns:
        show(("column", "change", "rows"), columns)
    if diff.samples:
        samples = [(s.kind, *s.key, s.column, s.shared, s.draft) for s in diff.samples]
        show(("row", *diff.grain, "column", "shared", "draft"), samples, "Samples")
