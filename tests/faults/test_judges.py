"""The judges of `test_any_process` find a single event that is lost, doubled or shown too soon."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lake_assets.settings import Settings, load_settings
from tests.support.exactness import Prefixes, Record, Topics, sender_differences
from tests.support.onlookers import MartReader, StagingReader
from tests.support.traffic import SALES, TAPS, Sent, event_of, sale, tap

EVENTS = 2_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return replace(load_settings(), home=tmp_path)


@pytest.fixture
def sent() -> Sent:
    """All events are acknowledged, sales on two partitions; one sale of a file was sent twice."""
    made = Sent()
    for number in range(EVENTS):
        made.acknowledged[SALES, str(number)] = (number % 2, number // 2)
        made.acknowledged[TAPS, str(number)] = (number % 4, number // 4)
    return made


@pytest.fixture
def topics(sent: Sent) -> Topics:
    sales = [Record(*place, sale(name)) for (asset, name), place in sent.acknowledged.items() if asset == SALES]
    sales += [Record(0, EVENTS // 2 + twice, sale("10x7")) for twice in range(2)]
    taps = [Record(*place, tap(int(name))) for (asset, name), place in sent.acknowledged.items() if asset == TAPS]
    return {SALES: sorted(sales), TAPS: sorted(taps)}


def test_every_event_names_itself_in_its_payload() -> None:
    for number in range(EVENTS):
        assert event_of(sale(str(number)).payload) == sale(str(number))
        assert event_of(tap(number).payload) == tap(number)
    with pytest.raises(ValueError, match="nobody sent"):
        event_of(sale("5").payload.replace(b"mug", b"cup"))


def test_what_was_acknowledged_is_what_the_topics_hold(sent: Sent, topics: Topics) -> None:
    assert sender_differences(topics, sent, ["10x7"]) == []


@pytest.mark.parametrize("asset", [SALES, TAPS])
def test_an_event_the_sender_does_not_know_of_is_found(sent: Sent, topics: Topics, asset: str) -> None:
    place = sent.acknowledged.pop((asset, "7"))
    assert sender_differences(topics, sent, ["10x7"]) == [f"{(asset, '7')} is at {[place]}, and nobody knows of it"]
    sent.unknown.add((asset, "7"))
    assert sender_differences(topics, sent, ["10x7"]) == []


def test_an_acknowledged_event_the_topic_lost_or_doubled_is_found(sent: Sent, topics: Topics) -> None:
    lost = {**topics, TAPS: [record for record in topics[TAPS] if record.event.name != "7"]}
    assert len(sender_differences(lost, sent, ["10x7"])) == 1
    doubled = {**topics, TAPS: [*topics[TAPS], Record(3, EVENTS, tap(7))]}
    assert len(sender_differences(doubled, sent, ["10x7"])) == 1
    assert len(sender_differences(topics, sent, ["10x7", "10x8"])) == 1


def rows(topics: Topics, asset: str, end: int) -> list[tuple[Any, ...]]:
    """Return the rows of staging and quarantine once all records below an offset are published."""
    found: dict[tuple[Any, ...], list[int]] = {}
    names: set[str] = set()
    for partition, offset, event in topics[asset]:
        if offset >= end:
            continue
        row = found.setdefault((asset, event.window, partition, event.is_good), [0, -1, 0])
        row[1] = offset
        if event.name not in names:
            row[0], row[2] = row[0] + 1, row[2] + event.number
        names.add(event.name)
    return [
        (*place, count, newest, total, 0, -1) if is_good else (*place, 0, -1, 0, count, newest)
        for (*place, is_good), (count, newest, total) in found.items()
    ]


@pytest.mark.parametrize("asset", [SALES, TAPS])
def test_whole_windows_are_seen_as_whole_and_a_row_too_few_is_not(
    settings: Settings, topics: Topics, asset: str
) -> None:
    prefixes, reader = Prefixes.of(topics), StagingReader(settings)
    for end in range(100, EVENTS, 100):
        reader.add(asset, rows(topics, asset, end))
    assert (reader.half(prefixes), reader.wrong) == ([], [])
    assert len(reader.seen) > 20
    (name, window, partition, good, *rest), *others = rows(topics, asset, EVENTS)
    reader.add(asset, [(name, window, partition, good - 1, *rest), *others])
    assert len(reader.half(prefixes)) == 1


def test_a_window_that_goes_back_or_away_is_wrong(settings: Settings, topics: Topics) -> None:
    reader = StagingReader(settings)
    reader.add(TAPS, rows(topics, TAPS, 400))
    assert reader.wrong == []
    reader.add(TAPS, [row for row in rows(topics, TAPS, 300) if row[2]])
    assert any("went back" in sentence and "to Part" in sentence for sentence in reader.wrong)
    assert any("to None" in sentence for sentence in reader.wrong)


def test_a_mart_with_half_of_an_hour_is_seen(settings: Settings, topics: Topics) -> None:
    hour = tap(1).window
    steps = [
        r.event.number for r in topics[TAPS] if r.event.group == "1" and r.event.window == hour and r.event.is_good
    ]
    reader, prefixes = MartReader(settings), Prefixes.of(topics)
    reader.add([(1, hour, len(steps), steps[-1], sum(steps))], [])
    assert (reader.half(prefixes), reader.wrong) == ([], [])
    reader.add([(1, hour, len(steps) - 1, steps[-1], sum(steps))], [("north", hour.date(), 1, 4, 4)])
    assert len(reader.half(prefixes)) == 1
    assert len(reader.wrong) == 2


def test_an_error_is_explained_by_an_outage_only(settings: Settings) -> None:
    reader = MartReader(settings)
    reader.errors += [(10.0, "amid"), (21.0, "after")]
    assert reader.unexplained([(5.0, 20.0)]) == ["after"]
