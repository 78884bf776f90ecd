"""Files of any kind become lines: the same for a sample and for what is sent."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.catalog.csv_dialect import SampleError
from lake_assets.catalog.sample import read_sample
from lake_assets.landing import inputs
from lake_assets.landing.inputs import expanded, opened, sample_of
from lake_assets.landing.lines import InputError, event_lines

CSV = b"id,name\n1,a\n2,b\n"
ROWS = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]


def events_of(path: Path, encoding: str | None = None) -> list[bytes]:
    with opened(str(path)) as (source, _):
        return list(event_lines(source.lines, source.name, source.form, encoding))


def values_of(path: Path) -> list[Any]:
    return [json.loads(event) for event in events_of(path)]


def zipped(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("folder/", b"")
        archive.writestr("folder/x.csv", data)
        archive.writestr("__MACOSX/._x.csv", b"\x00")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("x.csv.gz", gzip.compress),
        ("x.csv.bz2", bz2.compress),
        ("x.csv.xz", lzma.compress),
        ("x.csv.zst", lambda data: pa.compress(data, "zstd", asbytes=True)),
        ("x.zip", zipped),
        ("no_suffix", lambda data: gzip.compress(zipped(data))),
        ("x.csv", lambda data: data.decode().encode("utf-16")),
        ("x.csv", lambda data: data.decode().encode("utf-16-le")),
        ("x.csv", lambda data: data.decode().encode("utf-16-be")),
    ],
)
def test_a_packed_or_utf_16_file_is_the_text_in_it(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / name).write_bytes(pack(CSV))
    assert values_of(tmp_path / name) == [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]
    assert sample_of([str(tmp_path / name)], 1000)[0] == CSV


@pytest.mark.parametrize(
    "data",
    [
        b'[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]',
        b'\xef\xbb\xbf [\n  {"id": 1,\n "name": "a"},\n  {"id": 2, "name": "b"}\n]\n',
        b'{"id": 1, "name": "a"}{"id": 2, "name": "b"}',
        b'{\n  "id": 1,\n  "name": "a"\n}\n{\r\n  "id": 2,\n  "name": "b"\n}\n',
        b'{"id": 1, "name": "a"}\n{"id": 2, "name": "b"}\n',
        b'{"type": "x", "features": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}',
        b'{\n "Records": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]\n}',
    ],
)
def test_json_in_any_layout_is_an_event_an_object(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.json").write_bytes(data)
    assert values_of(tmp_path / "x.json") == ROWS


def test_line_ends_of_classic_mac_os_end_lines(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes(b'a,b\r1,"x\ry"\r2,z')
    with opened(str(path)) as (source, _):
        events = [json.loads(line) for line in event_lines(source.lines, source.name, source.form)]
    assert events == [{"a": "1", "b": "x\ny"}, {"a": "2", "b": "z"}]


def test_carriage_returns_within_a_json_line_end_no_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    line = b'{"a":\r1, "b": "' + b"x" * 5000 + b'"}'
    path.write_bytes(line + b"\n" + b'{"a": 2}\n' * 5)
    with opened(str(path)) as (source, _):
        events = [json.loads(event) for event in event_lines(source.lines, source.name, source.form)]
    assert [event["a"] for event in events] == [1, 2, 2, 2, 2, 2]


def test_what_is_written_in_a_json_array_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'[{"a": 1.10, "b": "\\u00e9"}, 5]')
    assert events_of(tmp_path / "x.json") == [b'{"a": 1.10, "b": "\\u00e9"}', b"5"]


def test_a_lone_event_with_a_list_stays_one(tmp_path: Path) -> None:
    event = b'{"order": 1, "items": [{"sku": 1}, {"sku": 2}]}'
    for name in ("x.json", "x.jsonl"):
        (tmp_path / name).write_bytes(event)
        assert events_of(tmp_path / name) == [event]
    (tmp_path / "x.jsonl").write_bytes(b'{"data": [{"a": 1}, {"a": 2}]}\n')
    assert len(events_of(tmp_path / "x.jsonl")) == 1
    # It is ambiguous which of two lists has the events.
    (tmp_path / "x.json").write_bytes(b'{"data": [{"a": 1}], "rows": [{"b": 1}]}')
    assert values_of(tmp_path / "x.json") == [{"data": [{"a": 1}], "rows": [{"b": 1}]}]


def test_broken_json_lines_are_passed_on_to_be_judged(tmp_path: Path) -> None:
    lines = [b'{"id": 1}', b'{"id": ', b"nonsense", b'{"id": 2}']
    (tmp_path / "x.jsonl").write_bytes(b"\n".join(lines))
    assert events_of(tmp_path / "x.jsonl") == lines
    (tmp_path / "y.json").write_bytes(b'{"id":\n 1}\n{"id": 2')
    assert events_of(tmp_path / "y.json") == [b'{"id":  1}', b'{"id": 2']


def table() -> pa.Table:
    return pa.table(
        {
            "id": pa.array([Decimal(1), Decimal(2)], pa.decimal128(10, 0)),
            "price": pa.array([Decimal("1.50"), None], pa.decimal128(38, 2)),
            "fee": pa.array([Decimal("0.25"), Decimal(1)], pa.decimal128(10, 2)),
            "at": pa.array([1_000_000_001, None], pa.timestamp("ns")),
            "kind": pa.array(["a", "b"]).dictionary_encode(),
            "x": pa.array([float("nan"), 0.1]),
            "nested": pa.array([{"y": [1]}, None]),
        }
    )


@pytest.mark.parametrize("kind", ["parquet", "feather", "stream", "stream.gz"])
def test_rows_of_parquet_and_arrow_are_events(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"x.{kind}"
    if kind == "parquet":
        pq.write_table(table(), path)
    elif kind == "feather":
        feather.write_feather(table(), str(path), compression="uncompressed")
    else:
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table().schema) as writer:
            writer.write_table(table())
        path.write_bytes(gzip.compress(sink.getvalue()) if kind.endswith("gz") else sink.getvalue())
    assert values_of(path) == [
        {
            "id": 1,
            "price": "1.50",
            "fee": "0.25",
            "at": "1970-01-01T00:00:01",
            "kind": "a",
            "x": None,
            "nested": {"y": [1]},
        },
        {"id": 2, "price": None, "fee": "1.00", "at": None, "kind": "b", "x": 0.1, "nested": None},
    ]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\xd0\xcf\x11\xe0rest", "is an Excel workbook: save the sheet as CSV UTF-8 in Excel, and give that."),
        (b"%PDF-1.4", "is a PDF: give the table as CSV."),
        (b"Obj\x01rest", "is Avro: write it as Parquet or JSONL first."),
        (b"SQLite format 3\x00", "is an SQLite database: write a table as CSV first"),
        (b"PAR1rest", "is Parquet that cannot be read"),
        (b"PK\x03\x04rest", "is a damaged zip file: get it again."),
        (b"a\x00b", "is not a text file: give CSV, JSON, Parquet or Arrow."),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(tmp_path: Path, data: bytes, sentence: str) -> None:
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(InputError) as caught:
        events_of(tmp_path / "x.csv")
    assert sentence in str(caught.value)


def test_archives_of_several_files_and_workbooks_are_refused(tmp_path: Path) -> None:
    for names, sentence in (
        (("a.csv", "b.csv"), "is a zip with 2 files: unpack it, and name those that belong together."),
        (("xl/workbook.xml", "b"), "is an Excel workbook: save the sheet as CSV UTF-8 in Excel, and give that."),
        (("content.xml",), "is an OpenDocument file: save the sheet as CSV, and give that."),
    ):
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            for name in names:
                archive.writestr(name, b"x")
        with pytest.raises(InputError) as caught:
            events_of(tmp_path / "x.zip")
        assert sentence in str(caught.value)


def test_a_pattern_names_the_files_that_match_in_order(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.txt", "[x].csv"):
        (tmp_path / name).write_bytes(CSV)
    assert expanded([f"{tmp_path}/[ab].csv"]) == [f"{tmp_path}/a.csv", f"{tmp_path}/b.csv"]
    assert expanded([f"{tmp_path}/[x].csv", "-"]) == [f"{tmp_path}/[x].csv", "-"]
    with pytest.raises(InputError, match="matches no file"):
        expanded([f"{tmp_path}/*.json"])


def test_a_sample_takes_rows_of_files_of_one_header(tmp_path: Path) -> None:
    for name, data in (("a.csv", CSV), ("b.csv", b"id,name\n3,c"), ("c.csv", b"other\n1\n")):
        (tmp_path / name).write_bytes(data)
    a, b, c = (str(tmp_path / name) for name in ("a.csv", "b.csv", "c.csv"))
    assert sample_of([a, b], 1000) == (CSV + b"3,c", True, None)
    assert sample_of([a, b, c], 1000) == (CSV + b"3,c", False, None)
    assert sample_of([a, b], len(CSV)) == (CSV, False, None)


def test_lines_that_are_not_utf_8_are_read_in_the_contracts_encoding(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("id,name\n1,Zoë\n".encode("windows-1252") + "2,Zoë\n".encode() + b"3,\x81\n")
    events = events_of(path, "windows-1252")
    assert [event.decode("utf-8", "replace") for event in events] == [
        '{"id": "1", "name": "Zoë"}', '{"id": "2", "name": "Zoë"}', '{"id": "3", "name": "�"}',
    ]  # fmt: skip
    assert b"\x81" in events[2]


WESTERN = (
    "Zoë",
    "Größe",
    "crème brûlée",
    "naïve",
    "señor",
    "20 °C",
    "5 €",
    "don\u2019t",
    "œuvre",
    "Ærøskøbing",
    "½ l",
    "«oui»",
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WESTERN), min_size=1), min_size=1))
def test_a_western_file_is_recognised_and_read_as_its_utf_8(rows: list[list[str]]) -> None:
    reads_as_its_utf_8([" ".join(words) for words in rows], "windows-1252", "windows-1252")


@pytest.mark.parametrize(
    ("text", "encoding", "proposed"),
    [
        ("Zażółć gęślą jaźń, a w Szczebrzeszynie chrząszcz brzmi w trzcinie", "windows-1250", "windows-1250"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy", "windows-1250", "windows-1250"),
        ("Съешь же ещё этих мягких французских булок", "windows-1251", "windows-1251"),
        ("Съешь же ещё этих мягких французских булок", "koi8-r", "koi8-r"),
        ("דג סקרן שט בים מאוכזב", "iso-8859-8", "windows-1255"),
        ("Pijamal\u0131 hasta ya\u011f\u0131z şoföre", "iso-8859-9", "windows-1254"),
        ("台北市信義區 客戶訂購了三本書", "big5", "big5"),
        ("กรุงเทพมหานคร ลูกค้าสั่งหนังสือ", "tis-620", "cp874"),
        ("Ξεσκεπάζω την ψυχοφθόρα βδελυγμία", "windows-1253", "windows-1253"),
        ("いろはにほへと ちりぬるを", "shift_jis", "cp932"),
        ("中文测试数据 北京市", "gbk", "gb18030"),
        ("안녕하세요 서울특별시", "euc-kr", "cp949"),
    ],
)
def test_a_file_of_another_script_is_read_as_its_utf_8(text: str, encoding: str, proposed: str) -> None:
    reads_as_its_utf_8([f"{text} {number}" for number in range(30)], encoding, proposed)


def reads_as_its_utf_8(texts: list[str], encoding: str, proposed: str) -> None:
    lines = [json.dumps({"x": text}, ensure_ascii=False).encode(encoding) + b"\n" for text in texts]
    sample = read_sample(b"".join(lines))
    assert sample.encoding == proposed
    assert [cell.text for row in sample.rows for cell in row if cell] == texts
    assert [json.loads(event)["x"] for event in event_lines(lines, "x.jsonl", None, sample.encoding)] == texts


def test_damaged_bytes_are_no_encoding() -> None:
    assert read_sample(b'{"a": "x"}\n' * 9 + b'{"a": "Br\xffken"}\n').encoding is None
    with pytest.raises(SampleError, match="not UTF-8"):
        read_sample(b'{"a": "Br\xffken"}\n' * 9)


def test_a_damaged_line_of_a_utf_8_file_stays_damaged() -> None:
    lines = ["a;b\n", "ä;ö\n", "ü;ß\n"]
    sample = read_sample("".join(lines).encode() + "é;x\n".encode("latin-1"))
    assert (sample.encoding, sample.broken) == (None, 1)


def test_standard_input_is_read_like_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BufferedReader(io.BytesIO(gzip.compress(b'[{"a": 1}]')))  # type: ignore[arg-type]

    monkeypatch.setattr(inputs.sys, "stdin", Stdin)
    with opened("-") as (source, _):
        assert list(event_lines(source.lines, source.name, source.form)) == [b'{"a": 1}']
