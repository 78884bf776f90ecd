"""Two engines, one truth: DuckDB alone and Spark with DuckDB on its executors make the same of the same raw rows.

The rules are one text, but on Spark rows cross Arrow twice and a shuffle once.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake_assets.catalog.model import Asset, Check, Field, FieldType
from lake_assets.catalog.window_results import WindowInput, WindowOutput
from lake_assets.conform.duckdb import conform
from tests.conform.conftest import Engine, rows_of
from tests.conform.test_rules import BROKEN, KEPT, NO_OBJECTS
from tests.conform.test_rules import payload as event
from tests.support.conform_records import NOON, ORDERS, Record, write_raw

ASSET = Asset(
    dataset="orders",
    domain="shop",
    version="1.0.0",
    description="",
    owners=(),
    fields=(Field("id", FieldType("string"), required=True), Field("at", FieldType("timestamp"), required=True)),
    key=("id",),
    event_time="at",
    topic="shop.orders",
)
# What differs between any two runs.
TIMES = ("_loaded_at", "first_seen")

TYPES = st.one_of(
    st.sampled_from(("string", "boolean", "integer", "double", "date", "timestamp", "json")).map(FieldType),
    st.integers(1, 38).flatmap(lambda p: st.integers(0, p).map(lambda s: FieldType("decimal", p, s))),
)  # fmt: skip
FORMATS = {
    "date": [None, "dd.MM.yyyy", "M/d/yy"],
    "timestamp": [None, "epoch_millis", "epoch_seconds", "yyyy-MM-dd HH:mm:ss"],
}
NUMBER_FORMS: list[dict[str, Any]] = [
    {}, {}, {"format": "decimal comma"}, {"thousands": "comma"}, {"thousands": "point", "format": "decimal comma"},
    {"thousands": "space", "unit": "%"}, {"thousands": "comma", "unit": "$"}, {"unit": "€"},
]  # fmt: skip
TEXT_RULES: list[dict[str, Any]] = [
    {"max_length": 6}, {"min_length": 2}, {"pattern": "[a-zß]*"}, {"enum": ("a", "ß", "")},
    {"max_length": 3, "pattern": ".+", "enum": ("a", "true", "null")},
]  # fmt: skip


@st.composite
def contracts(draw: st.DrawFn) -> Asset:
    """A contract with any types, rules that fit them, and any of its fields as key."""
    fields: list[Field] = []
    for number, kind in enumerate(draw(st.lists(TYPES, min_size=1, max_size=5))):
        field = Field(
            f"f{number}",
            kind,
            required=draw(st.booleans()),
            format=draw(st.sampled_from(FORMATS.get(kind.name, [None]))),
            source=draw(st.sampled_from(["", "", "Ünï code"])) if number == 0 else "",
        )
        if kind.name in ("integer", "decimal", "double") and draw(st.booleans()):
            whole = (kind.precision or 38) - (kind.scale or 0)
            field = replace(field, minimum=Decimal(0 if whole == 0 else -5), maximum=Decimal(10 ** min(whole, 3) - 1))
        if kind.name in ("integer", "decimal", "double"):
            form = draw(st.sampled_from(NUMBER_FORMS))
            field = replace(
                field, **{key: value for key, value in form.items() if key != "format" or kind.name != "integer"}
            )
        if field.format == "M/d/yy":
            field = replace(field, first_year=draw(st.sampled_from([None, 1927])))
        if kind.name == "string" and draw(st.booleans()):
            field = replace(field, **draw(st.sampled_from(TEXT_RULES)))
        fields.append(field)
    at = Field("at", FieldType("timestamp"), required=draw(st.booleans()))
    key = tuple(field.name for field in fields if draw(st.booleans()))
    return Asset(
        dataset="orders",
        domain="shop",
        version="1.0.0",
        description="",
        owners=(),
        fields=(*fields, at),
        key=key,
        event_time="at",
        window=draw(st.sampled_from(["day", "hour"])),
        topic="shop.orders",
        unknown_fields=draw(st.sampled_from(["keep", "reject"])),
        checks=(Check("most", "select count(*) from conformed", "<=", (Decimal(10),), draw(st.booleans())),),
    )


LIMITS = [
    0, -0.0, 1, -1, 2**63 - 1, -(2**63), 2**63, 2**53 + 1, 1e308, 5e-324, "1e400", "NaN", "inf", "-0", "+7", "007",
    "1_000", "0x10", "9" * 38, "0." + "9" * 38, "-" + "9" * 20 + "." + "9" * 18, "1.10", "1.1000", " 1", "true", "TRUE",
    "t", "ß", "a\x00b", "\U0001f600", "e\u0301", "\ufeff", "", "null", "2026-01-01", "0001-01-01", "9999-12-31",
    "2026-02-30", "29.02.2024", "29.02.2023", "2026-01-01T23:59:60Z", "2016-12-31T23:59:60Z", "2026-01-01T24:00:00Z",
    "2026-03-29T02:30:00+01:00", "2026-01-01 00:00:00", "0001-01-01T00:00:00+14:00", "infinity", "epoch",
    "6/23/63", "2/29/00",
    "1,234", "1.234", "1,234.50", "1.234,5", "$1,234", "-$5", "$-5.00", "5 €", "5\u00a0€", "1 234 %", "1\u202f234,5",
    "9999-12-31T11:59:59.999999-12:00", 1_767_225_600_000, 1_767_225_600, "253402300799000", -1, 1.5, [1, {"a": None}],
    {}, {"b": [True]},
]  # fmt: skip
VALUES = st.one_of(st.none(), st.sampled_from(LIMITS), st.integers(-6, 1200), st.text(max_size=7), st.booleans())


@st.composite
def payloads(draw: st.DrawFn, asset: Asset) -> bytes | None:
    """Draw mostly an object with the contract's fields: missing, extra, doubled, of any value; also no JSON at all."""
    shape = draw(st.integers(0, 19))
    if shape == 0:
        return draw(st.none() | st.binary(max_size=30) | st.sampled_from([b"", b"[]", b'"x"', b"{", b'{"at": 1} {}']))
    names = st.sampled_from([*(field.payload_key for field in asset.fields), "extra", "F0", ""])
    pairs: list[tuple[str, Any]] = [
        (field.payload_key, draw(VALUES)) for field in asset.fields if draw(st.integers(0, 9))
    ]
    pairs += draw(st.lists(st.tuples(names, VALUES), max_size=2))
    if draw(st.integers(0, 3)):
        pairs = [(name, "2026-01-01T12:00:00Z" if name == "at" else value) for name, value in pairs]
    text = ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in pairs)
    return f"{{{text}}}".encode()


@st.composite
def cases(draw: st.DrawFn) -> tuple[Asset, dict[str, list[Record]]]:
    asset = draw(contracts())
    length = timedelta(days=1) if asset.window == "day" else timedelta(hours=1)
    windows: dict[str, list[Record]] = {}
    offset = 0
    for number in range(draw(st.integers(1, 2))):
        start = NOON + number * length
        records: list[Record] = []
        # Few different payloads and many records, so that keys meet.
        few = draw(st.lists(payloads(asset), min_size=1, max_size=12))
        for payload in draw(st.lists(st.sampled_from(few), min_size=1, max_size=60)):
            again = draw(st.integers(0, 9)) == 0
            if again and records:
                records.append(draw(st.sampled_from(records)))
                continue
            records.append(Record(payload, draw(st.integers(0, 2)), offset, start, draw(st.sampled_from([None, b"k"]))))
            offset += 1
        windows[start.strftime("%Y-%m-%d" if asset.window == "day" else "%Y-%m-%d-%H:00")] = records
    return asset, windows


def outcome(engine: Engine, asset: Asset, windows: dict[str, list[Record]], folder: Path) -> dict[str, Any]:
    """Return all that an engine made of the windows, in an order that does not depend on the engine."""
    inputs = []
    for number, (window, records) in enumerate(windows.items()):
        write_raw(folder / f"{number}.parquet", records)
        inputs.append(WindowInput(window, (str(folder / f"{number}.parquet"),), len(records), 1))
    outputs: Sequence[WindowOutput] = engine(asset, inputs, f"file://{folder}/out", folder, "run-1", uuid4().hex)
    return {
        output.window: {
            "raw": output.raw_rows,
            "counts": {(count.topic, count.partition): count for count in output.partitions},
            "unknown": output.unknown,
            "checks": output.checks,
            "good": Counter(_untimed(row) for row in rows_of(list(output.good_files), "_kafka_partition, _offset")),
            "quarantined": Counter(
                _untimed(row) for row in rows_of(list(output.quarantine_files), 'partition, "offset"')
            ),
        }
        for output in outputs
    }


def _untimed(row: dict[str, Any]) -> str:
    return repr({name: value for name, value in row.items() if name not in TIMES})


@pytest.mark.fault(
    "any payload under any contract, on both engines",
    "each row is good, quarantined or a duplicate, the same on both",
)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)  # fmt: skip
@given(case=cases())
def test_both_engines_make_the_same_of_any_payloads_under_any_contract(
    on_spark: Engine, tmp_path_factory: pytest.TempPathFactory, case: tuple[Asset, dict[str, list[Record]]]
) -> None:
    folder = tmp_path_factory.mktemp("engines")
    for engine in ("duckdb", "spark"):
        (folder / engine).mkdir()
    alone = outcome(conform, *case, folder / "duckdb")
    assert outcome(on_spark, *case, folder / "spark") == alone


def test_both_engines_judge_every_case_of_the_rules_alike(
    on_spark: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    asset = replace(ORDERS, key=())
    cases = [event(**{field: given}) for field, given, _ in (*KEPT, *BROKEN)] + [body for body, _ in NO_OBJECTS]
    windows = {"2026-01-01": [Record(body, offset % 3, offset) for offset, body in enumerate(cases)]}
    alone, made = (
        outcome(engine, asset, windows, tmp_path_factory.mktemp(name))["2026-01-01"]
        for name, engine in (("duckdb", conform), ("spark", on_spark))
    )
    assert made == alone
    assert sum(made["good"].values()) == len(KEPT)
    assert sum(made["quarantined"].values()) == len(BROKEN) + len(NO_OBJECTS)


def test_400_windows_are_made_in_one_job_each_to_files_of_its_own(
    on_spark: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("backfill")
    asset = replace(ASSET, window="hour")
    first = datetime(2026, 1, 1, tzinfo=UTC)
    windows = {}
    for number in range(400):
        start = first + timedelta(hours=number)
        at = json.dumps({"id": f"o{number % 7}", "at": start.isoformat()}).encode()
        windows[start.strftime("%Y-%m-%d-%H:00")] = [
            Record(at, 0, 2 * number, start),
            Record(b"{", 0, 2 * number + 1, start),
        ]
    made = outcome(on_spark, asset, windows, folder)
    assert len(made) == 400
    assert {(sum(w["good"].values()), sum(w["quarantined"].values())) for w in made.values()} == {(1, 1)}
