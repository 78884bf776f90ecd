"""Producing: every line arrives as it is, with its key and its time, or the message names those that did not."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePath

import pytest
from confluent_kafka import Consumer, TopicPartition

from lake_assets.applied_files import applied_folder
from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.cli import main
from lake_assets.compile.topic import MAX_RECORD_BYTES, topic_spec
from lake_assets.errors import Unavailable
from lake_assets.landing.broker import client_config
from lake_assets.landing.produce import PRODUCER_CONFIG, ProduceError, ProduceReport, produce_lines
from lake_assets.landing.topics import ensure_topics, offsets
from lake_assets.settings import PROJECT, Settings
from lake_assets.stack.lifecycle import restart, status
from tests.support.frozen_processes import freeze
from tests.support.raw_assets import example_asset

AT_MS = (int(time.time()) - 3600) * 1000
AT = f"{datetime.fromtimestamp(AT_MS / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True)
class Sent:
    value: bytes | None
    key: bytes | None
    timestamp: int
    partition: int
    headers: list[tuple[str, str | bytes | None]]


def topic_of(settings: Settings, name: str, partitions: int = 1) -> Asset:
    asset = example_asset(name, "produce", topic=f"produce.{name}", partitions=partitions)
    ensure_topics(settings, [topic_spec(asset)])
    return asset


def arrived(settings: Settings, asset: Asset) -> list[Sent]:
    """Return all records in the asset's topic, partition by partition."""
    ends = {partition: end for partition, (_, end) in offsets(settings, [asset.topic])[asset.topic].items()}
    consumer = Consumer({**client_config(settings), "group.id": "tests", "enable.auto.commit": False})
    consumer.assign([TopicPartition(asset.topic, partition, 0) for partition in ends])
    found: list[Sent] = []
    deadline = time.monotonic() + 240
    while len(found) < sum(ends.values()):
        assert time.monotonic() < deadline
        for message in consumer.consume(5000, 1.0):
            assert message.error() is None
            found.append(
                Sent(
                    message.value(),
                    message.key(),
                    message.timestamp()[1],
                    message.partition() or 0,
                    message.headers() or [],
                )
            )
    consumer.close()
    return found


def event(number: int) -> bytes:
    return b'{"id": "%d", "at": "%s"}' % (number, AT.encode())


def test_lines_arrive_byte_for_byte_with_key_and_event_time(stack: Settings) -> None:
    asset = topic_of(stack, "exact")
    ahead = (datetime.now(UTC) + timedelta(hours=5)).isoformat()
    lines = [
        b' {"at" :"%s", "id":"Zo\xc3\xab", "x":1.10} ' % AT.encode(),
        b'{"id": null, "at": "%s"}' % AT.encode(),
        b"no json \xff",
        b'{"id": "b"}',
        b'{"id": "c", "at": "%s"}' % ahead.encode(),
        b'{"id": "d", "at": "1850-01-01T00:00:00"}',
        b'{"id": "e", "at": "2019-01-01T00:00:00"}',
    ]
    before = int(time.time() * 1000)
    report = produce_lines(stack, asset, lines)
    assert report.flaws == {"not_json": 1, "no_event_time": 1, "in_future": 1}
    assert (report.records, report.bytes) == (7, sum(map(len, lines)))
    sent = arrived(stack, asset)
    assert [record.value for record in sent] == lines
    assert [record.key for record in sent] == ["Zoë".encode(), None, None, b"b", b"c", b"d", b"e"]
    assert [record.timestamp for record in sent[:2]] == [AT_MS, AT_MS]
    assert all(before <= record.timestamp <= time.time() * 1000 + 1000 for record in sent[2:])
    old = [[("lake-event-time", millis)] for millis in (b"-3786825600000", b"1546300800000")]
    assert [record.headers for record in sent] == [[], [], [], [], [], *old]


def test_a_key_goes_to_the_partition_that_java_producers_choose(stack: Settings) -> None:
    asset = topic_of(stack, "keyed", partitions=4)
    # What org.apache.kafka.common.utils.Utils.murmur2 gives for these, by Kafka's own tests.
    hashes = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}
    produce_lines(stack, asset, [json.dumps({"id": key, "at": AT}).encode() for key in hashes])
    chosen = {(record.key or b"").decode(): record.partition for record in arrived(stack, asset)}
    assert chosen == {key: (value & 0x7FFFFFFF) % 4 for key, value in hashes.items()}


def test_a_full_queue_holds_the_sender_back_and_loses_nothing(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRODUCER_CONFIG, "queue.buffering.max.messages", 100)
    asset = topic_of(stack, "full")
    assert produce_lines(stack, asset, map(event, range(3000))).records == 3000
    assert [record.value for record in arrived(stack, asset)] == [event(number) for number in range(3000)]


def test_the_rate_is_kept_evenly(stack: Settings) -> None:
    asset = topic_of(stack, "paced")
    progress: list[tuple[int, float]] = []
    report = produce_lines(
        stack, asset, map(event, range(200)), 100, lambda now: progress.append((now.records, now.seconds))
    )
    assert report.records == 200
    assert report.seconds >= 1.8
    # Never ahead of its time by more than a few records.
    assert all(records <= seconds * 100 + 10 for records, seconds in progress)


def test_ctrl_c_ends_the_sending_and_what_was_sent_is_confirmed(stack: Settings) -> None:
    asset = topic_of(stack, "interrupted")

    def lines() -> Iterator[bytes]:
        yield from map(event, range(700))
        raise KeyboardInterrupt

    report = produce_lines(stack, asset, lines())
    assert report.interrupted
    assert report.records == len(arrived(stack, asset)) == 700


def test_a_line_that_is_too_long_is_named_and_those_before_it_are_sent(stack: Settings) -> None:
    asset = topic_of(stack, "long")
    fits = b'{"x": "%s"}' % (b"x" * (MAX_RECORD_BYTES - 100_000))
    assert produce_lines(stack, asset, [fits]).records == 1
    with pytest.raises(ProduceError, match=r"event 3 has .* the 2 events before it are sent"):
        produce_lines(stack, asset, [event(1), event(2), b"x" * (MAX_RECORD_BYTES + 1), event(4)])
    assert [len(record.value or b"") for record in arrived(stack, asset)] == [len(fits), len(event(1)), len(event(2))]


def test_a_topic_that_is_not_there_asks_for_apply(stack: Settings) -> None:
    with pytest.raises(ProduceError, match="lake apply"):
        produce_lines(stack, example_asset("missing", "produce"), [event(1)])


def test_a_broker_that_is_not_there_is_named_in_time(stack: Settings) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable, match="lake up"):
        produce_lines(replace(stack, kafka="127.0.0.1:1"), example_asset("x", "produce"), [event(1)])
    assert time.monotonic() - began < 5


def test_events_that_are_not_confirmed_in_time_are_counted_for_a_retry(
    stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = topic_of(stack, "gone")
    (kafka,) = (part for part in status() if part.name == "kafka")
    assert kafka.pid

    def lines() -> Iterator[bytes]:
        yield event(1)
        freeze(kafka.pid or 0)
        yield event(2)

    monkeypatch.setitem(PRODUCER_CONFIG, "message.timeout.ms", 2000)
    try:
        with pytest.raises(Unavailable, match="of 2 events are confirmed: send the file again"):
            produce_lines(stack, asset, lines())
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


@pytest.mark.fault("the broker restarts amid `lake produce`", "every event is sent once")
def test_a_broker_that_restarts_in_the_middle_loses_and_doubles_nothing(stack: Settings) -> None:
    """Regression: of events older than a day, what had arrived unconfirmed came twice, because the broker had forgotten
    their producer when it came back."""
    asset = topic_of(stack, "restarted", partitions=2)
    at = (datetime.now(UTC) - timedelta(days=7)).isoformat()
    events = [json.dumps({"id": str(number), "at": at}).encode() for number in range(20_000)]

    def lines() -> Iterator[bytes]:
        for number, line in enumerate(events):
            if number == 10_000:
                restart("kafka")
            yield line

    assert produce_lines(stack, asset, lines()).records == 20_000
    sent = arrived(stack, asset)
    assert sorted(record.value or b"" for record in sent) == sorted(events)


@pytest.fixture
def applied(stack: Settings) -> Iterator[Callable[[str], Asset]]:
    """Yield a function that makes an applied asset like `leads`, of the domain `produce`, with its topic."""
    made: list[Asset] = []

    def make(name: str) -> Asset:
        text = (PROJECT / "lake_assets" / "catalog" / "assets" / "leads.yaml").read_text("utf-8")
        text = text.replace("name: leads", f"name: {name}").replace("domain: crm", "domain: produce")
        made.append(parse_contract(text, PurePath(f"{name}.yaml")))
        ensure_topics(stack, [topic_spec(made[-1])])
        (applied_folder(stack) / "assets" / f"{name}.yaml").write_text(text, "utf-8")
        return made[-1]

    yield make
    for asset in made:
        (applied_folder(stack) / "assets" / f"{asset.name}.yaml").unlink()


def leads(folder: Path) -> Path:
    path = folder / "leads.csv"
    path.write_text(f"lead_id,origin,created_at\nL1,web,{AT}\nL2,web,soon\n", "utf-8")
    return path


def test_the_command_reports_the_sent_events(
    applied: Callable[[str], Asset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    applied("leads_sent")
    with pytest.raises(SystemExit) as stopped:
        main(["produce", "leads_sent", str(leads(tmp_path)), "--json"])
    assert stopped.value.code == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["topic"], answer["records"], answer["flaws"]["no_event_time"]) == ("produce.leads_sent", 2, 1)
    with pytest.raises(SystemExit):
        main(["produce", "leads_sent", str(leads(tmp_path))])
    output = capsys.readouterr().out
    assert "1 line: no valid event time: assigned to today's window." in output
    assert "Sent 2 events" in output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["produce", "leeds_named", "x.csv"], 2, "did you mean 'leads_named'"),
        (["produce", "leads_named", "nothing.csv"], 2, "nothing.csv"),
        (["produce", "leads_named", "x.csv", "--rate", "0"], 2, "rate"),
    ],
)
def test_the_command_reports_the_problem(
    applied: Callable[[str], Asset],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    applied("leads_named")
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == code
    assert words in capsys.readouterr().err


def test_a_file_without_events_is_bad_input(
    applied: Callable[[str], Asset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    applied("leads_empty")
    for name, data in (("empty.csv", ""), ("header.csv", "lead_id,origin\n"), ("blank.jsonl", "\n\n")):
        (tmp_path / name).write_text(data, "utf-8")
        with pytest.raises(SystemExit) as stopped:
            main(["produce", "leads_empty", str(tmp_path / name)])
        assert stopped.value.code == 2
        assert f"nothing was sent: {tmp_path / name} has no events." in capsys.readouterr().err


def test_several_files_are_sent_and_a_foreign_one_is_noticed(
    stack: Settings, applied: Callable[[str], Asset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asset = applied("leads_several")
    (tmp_path / "a.csv").write_text(f"lead_id,created_at\na,{AT}\n", "utf-8")
    (tmp_path / "b.json").write_text(f'[{{"lead_id": "b", "created_at": "{AT}"}}]', "utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["produce", "leads_several", f"{tmp_path}/[ab].*"])
    assert (stopped.value.code, "field of the contract" in capsys.readouterr().err) == (0, False)
    assert sorted(record.key or b"" for record in arrived(stack, asset)) == [b"a", b"b"]
    (tmp_path / "c.jsonl").write_text('{"x": 1, "y": 2}\n', "utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["produce", "leads_several", str(tmp_path / "c.jsonl")])
    assert stopped.value.code == 0
    output = capsys.readouterr().err
    assert "None of the first 1 events has a field of the contract of leads_several (they have x, y)" in output


def test_the_command_ends_with_3_when_the_broker_is_down(
    applied: Callable[[str], Asset],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    applied("leads_unsent")
    monkeypatch.setenv("LAKE_KAFKA", "127.0.0.1:1")
    with pytest.raises(SystemExit) as stopped:
        main(["produce", "leads_unsent", str(leads(tmp_path))])
    assert stopped.value.code == 3
    assert "lake up" in capsys.readouterr().err


def test_a_report_without_seconds_has_no_rate() -> None:
    assert ProduceReport("t").records_per_second == 0
