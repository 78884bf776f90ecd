"""CSV to JSON lines: no row lost, no byte changed."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from lake_assets.landing.csv_lines import json_lines

HEADER = b"id,name,note\n"


def convert(data: bytes) -> list[bytes]:
    return list(json_lines(io.BytesIO(data)))


def events(data: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in convert(data)]


def test_a_blank_after_each_delimiter_belongs_to_no_cell() -> None:
    lines = [b"id, name,at\n", b'1, "a, b", 5\n', b"2,, 6\n"]
    assert [json.loads(line) for line in json_lines(lines)] == [
        {"id": "1", "name": "a, b", "at": "5"}, {"id": "2", "name": None, "at": "6"},
    ]  # fmt: skip
    assert json.loads(next(json_lines([b"id,name\n", b"1, a\n", b"2,b\n"])))["name"] == " a"


def test_row_numbers_without_a_header_are_a_column_of_their_own() -> None:
    lines = [b'"a" "b"\n'.replace(b" ", b","), b'"1",x,5\n', b'"2",y,6\n']
    assert [json.loads(line) for line in json_lines(lines)] == [
        {"column_1": "1", "a": "x", "b": "5"}, {"column_1": "2", "a": "y", "b": "6"},
    ]  # fmt: skip
    assert json.loads(next(json_lines([b"a,b\n", b"1,x,5\n", b"7,y,6\n"])))["_extra_cells"] == ["5"]


def test_a_row_is_an_object_of_strings_and_empty_cells_are_null() -> None:
    assert events(HEADER + b"1,Ada,\n007,,x\n") == [
        {"id": "1", "name": "Ada", "note": None},
        {"id": "007", "name": None, "note": "x"},
    ]


def test_headers_are_kept_as_they_stand() -> None:
    assert events("Größe (cm);Kunden-Nr.\n1;2\n".encode()) == [{"Größe (cm)": "1", "Kunden-Nr.": "2"}]


def test_a_quoted_cell_may_hold_delimiters_quotes_and_line_ends() -> None:
    assert events(HEADER + b'1,"a, ""b""","two\nlines"\r\n2,5" pipe,x\n') == [
        {"id": "1", "name": 'a, "b"', "note": "two\nlines"},
        {"id": "2", "name": '5" pipe', "note": "x"},
    ]


def test_cells_beyond_the_header_are_kept_and_missing_ones_left_out() -> None:
    assert events(HEADER + b"1,a,b,c,d\n2,a\n") == [
        {"id": "1", "name": "a", "note": "b", "_extra_cells": ["c", "d"]},
        {"id": "2", "name": "a"},
    ]


def test_a_column_without_a_name_is_kept_only_where_it_has_a_value() -> None:
    assert events(b"id,,name\n1,,a\n2,x,b\n") == [{"id": "1", "name": "a"}, {"id": "2", "column_2": "x", "name": "b"}]


def test_a_byte_that_is_not_utf_8_stays_as_it_is() -> None:
    assert convert(HEADER + b"1,caf\xe9,\xf0\x9f\n") == [b'{"id": "1", "name": "caf\xe9", "note": "\xf0\x9f"}']


def test_a_quote_that_never_closes_costs_only_its_own_row() -> None:
    rows = b"".join(b"%d,a,b\n" % number for number in range(3000))
    lines = convert(HEADER + b'x,"never closed,b\n' + rows)
    assert lines[0] == b'x,"never closed,b'
    assert [json.loads(line)["id"] for line in lines[1:]] == [str(number) for number in range(3000)]


def test_a_row_that_is_no_csv_is_passed_on_as_its_line() -> None:
    assert convert(HEADER + b'1,"a"b,c\n2,a,b\n') == [b'1,"a"b,c', b'{"id": "2", "name": "a", "note": "b"}']


def test_blank_rows_are_no_events() -> None:
    assert convert(b"\n  \n" + HEADER + b"\n,,\n  \n , ,\n\r\n") == []
    assert convert(b"") == convert(b"\n\n") == []


def test_columns_of_one_name_are_numbered_and_none_takes_a_name_there_is() -> None:
    assert convert(b"id,id,id_2,id,\n1,2,3,4,\n") == [b'{"id": "1", "id_3": "2", "id_2": "3", "id_4": "4"}']


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=30))
def test_what_a_csv_writer_wrote_is_read_back(rows: list[list[str]]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["id", "name", "note"], *rows])
    expected = [[cell or None for cell in row] for row in rows if any(cell.strip() for cell in row)]
    assert [list(event.values()) for event in events(file.getvalue().encode())] == expected


@given(
    st.lists(
        st.text(st.sampled_from('",;ab\r\x00 '), max_size=12).map(str.encode) | st.binary(max_size=12), max_size=30
    )
)
def test_whatever_the_rows_are_none_is_lost(rows: list[bytes]) -> None:
    marked = [b"%d#" % number + row.replace(b"\n", b"") for number, row in enumerate(rows)]
    together = b"\n".join(convert(HEADER + b"0,a,b\n" + b"".join(row + b"\n" for row in marked)))
    assert all(b"%d#" % number in together for number in range(len(rows)))
