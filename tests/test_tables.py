"""Tables that commands print."""

import pytest

from lake_assets.cli import lake, main, tables
from lake_assets.errors import LakeError

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


def test_counts_have_commas_and_data_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    """Regression guard: a query showed the year 2026 as 2,026, and true as 1."""
    rows = [(2026, True), (1_234_567, False)]
    tables.show(("year", "paid"), rows, counts=False)
    assert [line.split() for line in capsys.readouterr().out.splitlines()[2:]] == [
        ["2026", "True"],
        ["1234567", "False"],
    ]
    tables.show(("rows",), [(1_234_567,)])
    assert "1,234,567" in capsys.readouterr().out


def test_cell_of_two_lines_keeps_its_column(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show(("what", "name"), [("a\nb", "c"), ("d", "e")])
    assert capsys.readouterr().out.splitlines()[2:] == [" a      c    ", " b           ", " d      e    "]


# A sequence that writes to the clipboard, one that colours, a C1 one, a carriage return, and a change of direction.
HOSTILE = "x\x1b]52;c;ZXZpbA==\x07y\x1b[31mred\x9b2J\rback\u202eright"
SHOWN = "x\\x1b]52;c;ZXZpbA==\\x07y\\x1b[31mred\\x9b2J\\rback\\u202eright"


@pytest.mark.parametrize("terminal", [False, True])
def test_control_characters_of_a_payload_are_shown_not_obeyed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    if terminal:
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(tables, "_as_text", lambda *table: tables._print_on_terminal(*table) or "")
    tables.show(("sample", HOSTILE), [(HOSTILE, "日本\té")], HOSTILE)
    with tables.Moving(("sample",)) as moving:
        moving.update([(HOSTILE,)])
    printed = capsys.readouterr().out
    assert printed.count(SHOWN) == 4
    assert "日本" in printed
    assert not [
        character for character in printed if character != "\n" and not (character.isprintable() or character == "\t")
    ]


def test_control_characters_in_an_error_are_shown_not_obeyed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise LakeError(f"the value {HOSTILE} is refused.")

    monkeypatch.setattr(lake, "main", fail)
    with pytest.raises(SystemExit):
        main(["new"])
    assert capsys.readouterr().err == f"lake: the value {SHOWN} is refused.\n"


def test_json_has_control_characters_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show_json({"sample": HOSTILE})
    printed = capsys.readouterr().out
    assert "\\u001b]52" in printed
    assert printed.isascii()
