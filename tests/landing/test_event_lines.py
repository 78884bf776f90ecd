"""The lines of a file: their format, and nothing but their line ends taken off."""

import io
import json

import pytest

from lake_assets.landing.lines import event_lines


def lines(data: bytes, name: str = "-", form: str | None = None) -> list[bytes]:
    return list(event_lines(io.BytesIO(data), name, form))  # type: ignore[arg-type]


def test_json_lines_are_untouched_but_for_line_ends_and_blank_lines() -> None:
    data = b' {"a":1} \r\n\n   \n{"b": "\xff"}\n{"c":1}'
    assert lines(data, "x.jsonl") == [b' {"a":1} ', b'{"b": "\xff"}', b'{"c":1}']


def test_the_byte_order_mark_of_a_file_is_no_part_of_its_first_event() -> None:
    assert lines(b'\xef\xbb\xbf{"a":1}\n', "x.jsonl") == [b'{"a":1}']
    assert json.loads(lines(b"\xef\xbb\xbfid,name\n1,a\n", "x.csv")[0]) == {"id": "1", "name": "a"}


@pytest.mark.parametrize("data", [b'{"a":1}\nbroken\n{"a":2}\n', b'\n\n{"a":1}\n'])
def test_without_a_suffix_the_first_lines_show_json(data: bytes) -> None:
    assert b'{"a":1}' in lines(data)


def test_without_a_suffix_the_first_lines_show_csv() -> None:
    assert json.loads(lines(b"id;name\n1;a\n")[0]) == {"id": "1", "name": "a"}


def test_the_given_format_wins_over_the_suffix() -> None:
    assert lines(b"id,name\n1,a\n", "x.csv", "jsonl") == [b"id,name", b"1,a"]
