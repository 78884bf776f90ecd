"""No events, no data, and a missing producer are distinguished."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lake_assets.catalog.silence import Arrival, hide_names, in_words, missing_producers, silence
from tests.support.contracts import changed, parse, problems

ORDERS = replace(parse(), frequency=timedelta(minutes=10))
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def after(minutes: int) -> datetime:
    return NOW + minutes * MINUTE


def test_a_topic_that_gets_nothing_for_longer_than_promised_has_no_events() -> None:
    arrival = Arrival(100, NOW, 100).moved(100, 100, after(10))
    assert silence(ORDERS, arrival, SECOND, after(10)) is None
    sentence = silence(ORDERS, arrival, SECOND, after(25))
    assert sentence is not None
    assert sentence.startswith("no events: the topic shop.orders has received none for 25 min, and one is expected")


def test_events_that_come_and_do_not_land_are_no_data() -> None:
    arrival = Arrival(100, NOW, 100)
    for minute in range(1, 12):
        arrival = arrival.moved(100 + minute, 100, after(minute))
    assert silence(ORDERS, arrival, SECOND, after(11)) is None
    arrival = arrival.moved(112, 100, after(12))
    sentence = silence(ORDERS, arrival, SECOND, after(12))
    assert sentence is not None
    assert sentence.startswith("no data: events come into the topic shop.orders and none has landed for 11 min")
    assert silence(ORDERS, arrival.moved(113, 112, after(13)), SECOND, after(13)) is None


def test_the_first_event_after_a_long_pause_has_time_to_land() -> None:
    """The time since the last landing does not count: until now there was nothing to land."""
    slow = replace(ORDERS, frequency=timedelta(hours=6))
    arrival = Arrival(100, NOW, 100).moved(101, 100, after(350))
    assert silence(slow, arrival, SECOND, after(351)) is None


def test_a_sink_that_commits_seldom_is_given_two_commits() -> None:
    arrival = Arrival(101, after(19), 100, NOW)
    assert silence(ORDERS, arrival, 10 * MINUTE, after(19)) is None
    assert silence(ORDERS, replace(arrival, end_at=after(21)), 10 * MINUTE, after(21)) is not None


def test_a_contract_that_promises_nothing_is_never_silent() -> None:
    assert silence(parse(), Arrival(0, NOW, 0), SECOND, after(100_000)) is None


def test_a_producer_is_missing_when_the_others_went_on_without_it() -> None:
    newest = {"north": NOW, "south": after(9), "east": after(12)}
    assert missing_producers(newest, timedelta(minutes=10), SECOND) == {"north": NOW}
    assert missing_producers({}, timedelta(minutes=10), SECOND) == {}


@given(
    st.dictionaries(st.text(max_size=4), st.integers(0, 10_000), max_size=8),
    st.integers(1, 600),
    st.integers(0, 10_000),
)
def test_a_silence_of_all_adds_no_missing_producer(newest: dict[str, int], frequency: int, later: int) -> None:
    times = {name: after(minutes) for name, minutes in newest.items()}
    moved = {name: at + later * MINUTE for name, at in times.items()}
    missing = missing_producers(times, frequency * MINUTE, SECOND)
    assert missing_producers(moved, frequency * MINUTE, SECOND).keys() == missing.keys()
    assert not times or max(times.values()) not in missing.values()


def test_lengths_of_time_are_shown_in_their_own_unit() -> None:
    texts = [in_words(timedelta(seconds=n)) for n in (90, 119, 120, 7_199, 7_200, 172_800)]
    assert texts == ["90 s", "119 s", "2 min", "119 min", "2 h", "2 days"]


SLA = "slaProperties: [{property: freshness, value: 2, unit: h}]"
FREQUENCY = "slaProperties: [{property: frequency, value: 10, unit: m}]"
LANDING = "  - {property: landing,"


def with_roster(field: str, sla: str = FREQUENCY) -> str:
    return changed(SLA, sla).replace(LANDING, f"  - {{property: roster, value: {{field: {field}}}}}\n{LANDING}")


def test_a_contract_sets_how_often_and_from_whom_events_are_expected() -> None:
    asset = parse(with_roster("country"))
    assert (asset.frequency, asset.roster, asset.freshness) == (timedelta(minutes=10), "country", None)
    assert (parse().frequency, parse().roster) == (None, None)


def test_names_of_a_confidential_roster_are_numbers() -> None:
    assert list(hide_names({"ada": NOW, "bob": NOW})) == ["hidden 1", "hidden 2"]


def test_a_roster_that_cannot_be_kept_is_refused() -> None:
    assert "'cuntry' is not a field. Did you mean 'country'?" in " ".join(problems(with_roster("cuntry")))
    assert "'amount' must be a string, an integer or a boolean" in " ".join(problems(with_roster("amount")))
    assert "a roster needs the promise frequency" in " ".join(problems(with_roster("country", SLA)))
    twice = FREQUENCY.replace("]", ", {property: frequency, value: 1, unit: h}]")
    assert "'frequency' is given twice; keep one." in " ".join(problems(changed(SLA, twice)))
