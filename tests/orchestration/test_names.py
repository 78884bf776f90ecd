"""A field may be named by any word of any SQL that the lake compiles: on every target it is an ordinary column.

The words are read off the compiled SQL itself, so that a new statement brings its own words to this test.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st

from lake_assets.catalog.metric import Group, Measure, Metric
from lake_assets.catalog.metric_parse import SERVING_COLUMNS
from lake_assets.catalog.model import Asset, Field, FieldType
from lake_assets.catalog.names import RESERVED, SYSTEM_COLUMNS, field_name, name_problem
from lake_assets.catalog.window_results import WindowInput, WindowOutput
from lake_assets.compile import bigquery, conform, ddl, forget, glue, judge, metric_parity, metric_tables, reasons
from lake_assets.compile import rebuild_without_raw as kept
from lake_assets.compile.dbt_sources import staging_sql
from lake_assets.compile.spark import good_schema, judged_schema, spread_sql
from lake_assets.conform.duckdb import conform as conform_windows
from lake_assets.conform.rebuild_without_raw import QUARANTINE_COLUMNS, Kept, conform_kept, good_columns
from lake_assets.operations.adapters import erasure_for, warehouse_for
from lake_assets.settings import Settings
from stream_app.validate import Judge
from stream_app.validate import _query as stream_query  # pyright: ignore[reportPrivateUsage]
from tests.support.conform_records import Record, write_raw

DAY = datetime(2026, 2, 1, tzinfo=UTC)
WINDOW = "2026-02-01"
# What warehouses and formats have columns of, or add to what they are given, without any statement of ours.
PSEUDO = [
    "rowid", "_rowid", "ctid", "cmin", "cmax", "xmin", "xmax", "tableoid", "oid", "_PARTITIONTIME", "_PARTITIONDATE",
    "_TABLE_SUFFIX", "_FILE_NAME", "$path", "$file_size", "$partition", "$file_modified_time", "filename",
    "file_row_number", "file_index", "snapshot_id", "row_id", "begin_snapshot", "end_snapshot", "_metadata", "_bucket",
    "input_file_name", "hive_partitioning", "__index_level_0__", "_ROW_TIMESTAMP", "__ROOT__",
]  # fmt: skip
HEADERS = [
    "Name", "name", "NAME", "a.b", "a b", "a-b", "Größe (m²)", "日付", "Ünï", "🙂", "o'brien", 'qu"ote', "back\\slash",
    "{{ x }}", "$.a", "a[0]", "*", "x" * 63, "x" * 64, "ü" * 63, "/", "~1", "Row ID", "Customer.ID", "%s", "?",
]  # fmt: skip


RUNNING = (
    "conform/write_windows.py", "conform/rebuild_without_raw.py", "warehouse/local/ducklake.py",
    "warehouse/local/ducklake_erasure.py",
    "warehouse/aws/athena.py", "warehouse/aws/athena_erasure.py", "warehouse/gcp/bigquery.py", "operations/replay.py",
    "operations/arrivals.py", "../spark/executor.py",
)  # fmt: skip


def contract(names: Sequence[str], key: Sequence[str] = (), dataset: str = "names") -> Asset:
    """A contract whose fields have these names, or the nearest legal ones. All are texts but the last three, which
    are a number, an amount and the event time."""
    taken: list[str] = []
    for source in names:
        name = field_name(source) if name_problem(source) else source
        number = 1
        while name in taken:
            number += 1
            name = f"{field_name(source)[:57]}_{number}"
        taken.append(name)
    kinds = [FieldType("string")] * (len(names) - 3)
    kinds += [FieldType("integer"), FieldType("decimal", 12, 2), FieldType("timestamp")]
    folded: set[str] = set()
    fields: list[Field] = []
    for name, source, kind in zip(taken, names, kinds, strict=True):
        fields.append(Field(name, kind, required=True, source=source, has_twin=source.lower() in folded))
        folded.add(source.lower())
    return Asset(
        dataset=dataset,
        domain="ops",
        version="1.0.0",
        description="Names.",
        owners=("ops@example.com",),
        fields=tuple(fields),
        key=tuple(key) or tuple(taken[:-3]),
        event_time=taken[-1],
        topic=f"ops.{dataset}",
    )


def counting(asset: Asset) -> Metric:
    texts = [field for field in asset.fields if field.type.name == "string" and field.name not in SYSTEM_COLUMNS]
    free = [field for field in texts if field.name not in SERVING_COLUMNS]
    amount = next(field for field in asset.fields if field.type.name == "decimal")
    return Metric(
        name="counted",
        version="1.0.0",
        description="Counted.",
        owners=(),
        source=asset.name,
        groups=tuple(Group(field.name, field.type) for field in free[:2]),
        window=timedelta(minutes=1),
        lateness=timedelta(minutes=1),
        measures=(
            Measure("m_events", "count", "Events."),
            Measure("m_amount", "sum", "Amount.", amount.name, amount.type),
        ),
    )


def statements(asset: Asset) -> Iterator[str]:
    """SQL of every kind that has a contract's columns in it, or is run beside one that has."""
    metric, raw = counting(asset), "raw"
    tables = bigquery.bigquery_tables(asset, {})
    field = asset.fields[0]
    wanted = [(field, "x")]
    yield from (judge.judge_sql(asset, raw), conform.judged_table(asset, raw), conform.dropped_table(asset))
    yield from (conform.dropped_table(replace(asset, key=())), conform.GOOD_VIEW, conform.COUNTS, conform.UNKNOWN)
    yield from (conform.good_select(asset, "x"), conform.quarantine_select(asset, "r", "x"), conform.NO_RAW)
    yield from (kept.kept_payloads("q"), kept.kept_good(asset, "g"), kept.kept_select(asset, "x", "g"))
    yield ddl.create_table("staging", ddl.staging_columns(asset))
    yield ddl.create_table("quarantine", ddl.QUARANTINE)
    yield from metric_parity.final_tables(metric, "x", "x", "false", {0: 1})
    yield metric_parity.late_complete(metric)
    yield metric_parity.differences(metric, metric_parity.staging_rows(metric, asset, "staging", "x", "x"))
    yield metric_parity.differences(metric, metric_parity.judged_rows(metric, asset, "x", "x"))
    yield from metric_tables.metric_statements(metric)
    yield stream_query(asset, metric)
    yield from (good_schema(asset), judged_schema(asset), spread_sql(asset, raw, {WINDOW: 2}))
    yield forget.payload_matches([wanted], raw, "_offset")
    yield forget.values_match(forget.staging_values(wanted, [None]))
    yield from reasons.reasons([(asset, glue.quarantine_errors(asset)), (asset, bigquery.quarantine_errors(tables[1]))])
    yield glue.rows_by_window(asset, ["2026-02-01 00:00:00"])
    yield from (bigquery.rows_by_window(tables, [WINDOW]), bigquery.rows_by_partition(tables, [WINDOW]))
    yield from (bigquery.rows_of(tables[0], [WINDOW], ["_offset"]), bigquery.emptied(tables[0], [WINDOW]))
    yield from bigquery.at_positions(tables[0], {WINDOW: [(0, 1)]})
    yield bigquery.rows_where(tables[0], bigquery.values_equal([field.name]))
    yield staging_sql(asset)
    # What only modules that run SQL have: the words of their texts.
    for path in RUNNING:
        tree = ast.parse((Path(conform.__file__).parents[1] / path).read_text("utf-8"))
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        yield from (text for text in texts if re.search(r"\b(select|from|where|join) ", text) and ". " not in text)


def words() -> list[str]:
    neutral = contract(["a", "b", "n", "m", "t"])
    found = {word for text in statements(neutral) for word in re.findall(r"[A-Za-z_]\w*", text)}
    # A reserved word is another name in the contract, which tests/catalog/test_names.py holds.
    found -= RESERVED | {word.lower() for word in RESERVED}
    return sorted({*found, *PSEUDO, *SERVING_COLUMNS}, key=lambda word: (word.lower(), word)) + HEADERS


def payload(asset: Asset, number: int, changes: Mapping[str, object] | None = None) -> bytes:
    event: dict[str, object] = {}
    for place, field in enumerate(asset.fields):
        value: dict[str, object] = {
            "integer": number,
            "decimal": f"{number}.25",
            "timestamp": f"{WINDOW}T10:00:0{number}Z",
        }
        event[field.payload_key] = value.get(field.type.name, f"{place}-{number}")
    return json.dumps({**event, **(changes or {})}, ensure_ascii=False).encode()


def landed(asset: Asset, folder: Path, payloads: Sequence[bytes]) -> WindowInput:
    path = folder / f"{asset.name}-{len(list(folder.iterdir()))}.parquet"
    write_raw(path, [Record(one, offset=n, timestamp=DAY) for n, one in enumerate(payloads)], asset.topic)
    return WindowInput(WINDOW, (str(path),), len(payloads), 1)


def events(asset: Asset) -> list[bytes]:
    """Three good events, the second of which comes twice, and one without a number."""
    number = next(field for field in asset.fields if field.type.name == "integer")
    bad = payload(asset, 4, {number.payload_key: "many"})
    return [payload(asset, 1), payload(asset, 2), payload(asset, 2), payload(asset, 3), bad]


def expected(asset: Asset, number: int) -> dict[str, Any]:
    row = json.loads(payload(asset, number))
    read: Mapping[str, Callable[[str], Any]] = {"decimal": Decimal, "timestamp": datetime.fromisoformat}
    return {f.name: read.get(f.type.name, lambda value: value)(row[f.payload_key]) for f in asset.fields}


def goes_through(settings: Settings, asset: Asset, folder: Path) -> None:
    """Conform, publish, read back, quarantine, replay from what is kept, forget: as for any other names."""
    warehouse, erasure = warehouse_for(settings), erasure_for(settings)
    assert warehouse.ensure(asset)
    assert warehouse.missing(asset) == []
    window = landed(asset, folder, events(asset))
    [output] = conform_windows(asset, [window], settings.conformed, folder, "run", f"{asset.name}-1")
    assert (output.good, output.quarantined, output.duplicates) == (3, 1, 1)
    warehouse.replace_windows(asset, [output])
    assert warehouse.window_rows(asset) == {WINDOW: (3, 1)}
    names = [field.name for field in asset.fields]
    assert rows(settings, asset, names) == [expected(asset, number) for number in (1, 2, 3)]
    assert [(one.asset, one.code, one.field, one.rows) for one in warehouse.reasons([asset])] == [
        (asset.name, "type", names[-3], 1)
    ]
    replayed(settings, asset, output, folder)
    texts = [(field, f"{number}-3") for number, field in enumerate(asset.fields[:-3])]
    for wanted in (texts, texts[:1], texts[-1:]):
        values = forget.staging_values(wanted, [None] * len(wanted))
        assert [row.position for row in erasure.staged(asset, values, {})] == [(0, 3)]
    positions = {WINDOW: [(0, 3)]}
    assert erasure.partition_rows(asset, [WINDOW]) == {(WINDOW, 0): (3, 1)}
    erasure.remove_rows(asset, positions)
    assert rows(settings, asset, names) == [expected(asset, number) for number in (1, 2)]
    erasure.purge(asset, [WINDOW], ())
    assert rows(settings, asset, names) == [expected(asset, number) for number in (1, 2)]


def rows(settings: Settings, asset: Asset, names: Sequence[str]) -> list[dict[str, Any]]:
    found = warehouse_for(settings).rows(asset, "staging", [WINDOW], [*names, "_offset"]).to_pylist()
    found.sort(key=lambda row: row["_offset"])
    return [{name: row[name] for name in names} for row in found]


def replayed(settings: Settings, asset: Asset, output: WindowOutput, folder: Path) -> None:
    """Judged again from what quarantine kept, under a contract whose number is a text."""
    warehouse = warehouse_for(settings)
    good = warehouse.rows(asset, "staging", [WINDOW], good_columns(asset))
    bad = warehouse.rows(asset, "quarantine", [WINDOW], QUARANTINE_COLUMNS)
    found = Kept(WINDOW, good, bad, output.partitions, 1)
    again = conform_kept(asset, found, settings.conformed, folder, "again", f"{asset.name}-2")
    assert (again.good, again.quarantined, again.duplicates) == (3, 1, 1)


def chunks(given: Sequence[str], size: int) -> list[Sequence[str]]:
    return [given[at : at + size] for at in range(0, len(given), size)]


def test_a_field_may_have_any_word_of_our_sql_for_its_name(target: Settings, tmp_path: Path) -> None:
    for number, chunk in enumerate(chunks(words(), 80)):
        asset = contract([*chunk, "z_number", "z_amount", "z_at"], dataset=f"names{number}")
        goes_through(target, asset, tmp_path)


def test_numbers_and_event_time_may_have_any_word_for_their_names(tmp_path: Path) -> None:
    legal = sorted({word if name_problem(word) is None else field_name(word) for word in words()})
    for number, chunk in enumerate(chunks([*legal, "z_one", "z_two"], 3)):
        if len(chunk) == 3:
            asset = contract(["z_id", *chunk])
            asset = replace(asset, key=tuple(field.name for field in asset.fields))
            [output] = conform_windows(
                asset, [landed(asset, tmp_path, events(asset))], f"file://{tmp_path}/out", tmp_path, "run", f"n{number}"
            )
            assert (output.good, output.quarantined, output.duplicates) == (3, 1, 1), chunk


def test_speed_and_batch_count_the_same_whatever_fields_are_named() -> None:
    """Both sides of the comparison, and the judge of the stream, over the same three events."""
    for chunk in chunks([word for word in words() if word not in SYSTEM_COLUMNS], 80):
        asset = contract([*chunk, "z_number", "z_amount", "z_at"])
        metric = counting(asset)
        streamed = Judge(asset, metric).judge(events(asset))
        assert [len(streamed.good), len(streamed.refused)] == [4, 1]
        assert streamed.good["_v0"].to_pylist() == [Decimal(number) for number in (125, 225, 225, 325)]
        with duckdb.connect() as session:
            session.execute("set timezone = 'UTC'")
            assert differing(session, asset, metric) == []
            session.execute(f"delete from {metric_parity.FINAL} where m_amount = 225")
            assert len(differing(session, asset, metric, final=False)) == 1


def differing(session: duckdb.DuckDBPyConnection, asset: Asset, metric: Metric, *, final: bool = True) -> list[Any]:
    import pyarrow as pa

    raw = pa.table(
        {
            "payload": pa.array(events(asset), pa.binary()), "_key": pa.nulls(5, pa.binary()),
            "_topic": pa.array([asset.topic] * 5), "_partition": pa.array([0] * 5, pa.int32()),
            "_offset": pa.array(range(5), pa.int64()), "_timestamp": pa.array([DAY] * 5, pa.timestamp("us", "UTC")),
        }
    )  # fmt: skip
    session.register("raw", raw)
    session.execute(conform.judged_table(asset, "raw"))
    low, high = DAY.isoformat(), (DAY + timedelta(days=1)).isoformat()
    if final:
        session.execute("attach if not exists ':memory:' as serving; create schema if not exists serving.metrics")
        for statement in metric_tables.metric_statements(metric):
            if statement.startswith("create table"):
                session.execute("use serving; " + statement + "; use memory")
        groups = [
            str(json.loads(payload(asset, n))[asset.field(g.name).payload_key])
            for n in (1, 2, 3)
            for g in metric.groups
        ]
        names = [g.name for g in metric.groups]
        for number in range(3):
            cell = groups[number * len(names) : (number + 1) * len(names)]
            session.execute(
                f"insert into serving.metrics.counted_shards values ({', '.join('?' * (len(cell) + 8))})",
                [*cell, DAY.replace(hour=10), 0, 1, (number + 1) * 100 + 25, 5, 0, 1, True],
            )
        for statement in metric_parity.final_tables(metric, low, high, "false", {0: 5}):
            session.execute(statement)
    return session.execute(
        metric_parity.differences(metric, metric_parity.judged_rows(metric, asset, low, high))
    ).fetchall()


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=80).filter(
    str.strip
)


@tried(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.one_of(NAMES, st.sampled_from(HEADERS)), min_size=1, max_size=30, unique=True))
def test_a_payload_may_have_any_text_for_a_key(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("keys")
    asset = contract([*names, "z_number", "z_amount", "z_at"])
    [output] = conform_windows(
        asset, [landed(asset, folder, events(asset))], f"file://{folder}/out", folder, "run", "f"
    )
    assert (output.good, output.quarantined, output.duplicates) == (3, 1, 1)
    read = duckdb.execute(f"select * from read_parquet({list(output.good_files)}) order by _offset").to_arrow_table()
    found = [{f.name: row[f.name] for f in asset.fields[:-1]} for row in read.to_pylist()]
    assert found == [{k: v for k, v in expected(asset, n).items() if k != asset.event_time} for n in (1, 2, 3)]
    assert all(row["_extra"] is None for row in read.to_pylist())
    for number, field in enumerate(asset.fields[:-3]):
        with duckdb.connect() as session:
            session.register("raw", read_raw(folder))
            query = forget.payload_matches([[(field, f"{number}-3")]], "raw", "_offset")
            assert session.execute(query).fetchall() == [(3, False)], field.source


def read_raw(folder: Path) -> Any:
    from pyarrow.parquet import read_table

    return read_table(folder / "names-0.parquet")
