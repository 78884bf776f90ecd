"""Tables that commands print."""

import pytest

from lake_assets.cli import tables

ROWS = [("contract", "leads日本", 12345, "x, [y]"), ("staging", "a", 1, None), ("s", "", -2, 0.5)]


def shown(capsys: pytest.CaptureFixture[str], rows: list[tuple[object, ...]], title: str | None) -> str:
    tables.show(("what", "name", "n", "detail"), rows, title)
    return capsys.readouterr().out


@pytest.mark.parametrize("title", [None, "leads"])
@pytest.mark.parametrize("rows", [ROWS, []], ids=["rows", "empty"])
def test_table_in_a_pipe_is_as_on_a_terminal(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple[object, ...]],
    title: str | None,
) -> None:
    in_pipe = shown(capsys, rows, title)
    monkeypatch.setattr(tables, "_as_text", lambda *table: tables._print_on_terminal(*table) or "")
    assert in_pipe == shown(capsys, rows, title).removesuffix("\n")


def test_cell_of_two_lines_keeps_its_column(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show(("what", "name"), [("a\nb", "c"), ("d", "e")])
    assert capsys.readouterr().out.splitlines()[2:] == [" a      c    ", " b           ", " d      e    "]
