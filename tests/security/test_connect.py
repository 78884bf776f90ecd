"""All three servers secured: events land and metrics arrive, and no password is seen on the way."""

from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import requests

from lake_assets.errors import SettingsError
from lake_assets.landing.connect import connector_for, connector_status, failures, rest_access
from lake_assets.landing.produce import produce_lines
from lake_assets.settings import Settings
from lake_assets.stack.health import check_connect
from lake_assets.stack.passwords import read_passwords, write_private
from tests.support.counted_metrics import make_counted
from tests.support.landed_records import apply, read_raw, wait_for_rows
from tests.support.order_events import Expected, orders
from tests.support.own_servers import CLIENT_SECRET, CONNECT_PASSWORD, KAFKA_PASSWORD, Own, connect
from tests.support.raw_assets import example_asset

COUNT = 500
# As each token begins.
TOKEN = urlsafe_b64encode(b'{"alg":').decode()[:8]


def secrets(own: Own) -> list[str]:
    """Kafka's by the part that is not escaped."""
    return [
        KAFKA_PASSWORD.split()[-1],
        CLIENT_SECRET.split()[-1],
        TOKEN,
        "PRIVATE KEY",
        CONNECT_PASSWORD,
        *read_passwords(own.layout).values(),
    ]


def test_events_land_in_raw_and_no_password_is_seen_on_the_way(own: Own, own_lake: Settings, way: str) -> None:
    asset = example_asset(f"leads_{way}")
    apply(own_lake, asset, domain="crm")
    events = [b'{"id": "%d", "at": "2026-03-01T10:00:00Z"}' % number for number in range(COUNT)]
    produce_lines(own_lake, asset, events)
    wait_for_rows(own_lake, asset, COUNT)
    assert sorted(record.payload or b"" for record in read_raw(own_lake, asset)) == sorted(events)
    name = connector_for(own_lake, "crm").name
    assert connector_status(own_lake, name)
    shown = [requests.get(f"{own_lake.connect}/connectors/{name}/{path}", timeout=60, **rest_access(own_lake)).text
             for path in ("config", "tasks", "status")]  # fmt: skip
    # One that has ended, and that no process has waited for yet, shows nothing.
    running = [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]
    commands = [" ".join(process.cmdline()) for process in running]
    assert any("ConnectDistributed" in command for command in commands)
    shown += commands
    shown += [log.read_text("utf-8") for log in own.layout.logs.glob("*.log")]
    shown += [repr(own_lake), repr(connector_for(own_lake, "crm"))]
    assert any("security.protocol" in text for text in shown)
    for text in shown:
        assert not [secret for secret in secrets(own) if secret in text]


def test_stream_app_and_the_sink_of_metrics_get_in_too(own_lake: Settings, tmp_path: Path, way: str) -> None:
    made, expected = make_counted(own_lake, tmp_path, f"orders_{way}"), Expected()
    try:
        made.instances.start("one")
        produce_lines(own_lake, made.asset, [payload for _, payload in orders(COUNT, expected)])
        made.wait_for(expected.orders)
    finally:
        made.instances.stop_all()
        print(made.instances.log("one").read_text("utf-8"))
    assert expected.agrees_with(made.rows())


@pytest.mark.parametrize("way", ["passwords"], indirect=True)
def test_workers_hand_requests_on_to_each_other_by_https(own: Own, own_lake: Settings) -> None:
    """One of the two leads, and the other hands on to it what it is asked to change. Each is asked by a name of its
    certificate: it refuses any other."""
    with connect(own, "second_worker") as second:
        for settings, domain in ((own_lake, "first"), (second, "second")):
            apply(settings, example_asset("leads", domain=domain), domain=domain)
        for host, status in (("127.0.0.1", requests.codes.ok), ("10.0.0.1", requests.codes.bad_request)):
            url, access = f"{second.connect}/connectors", rest_access(second)
            assert requests.get(url, timeout=60, headers={"Host": host}, **access).status_code == status


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda own, access: replace(access, ca=own.stranger.ca),
            "cannot be reached safely .*certificate.*LAKE_CONNECT_CA",
        ),
        (lambda own, access: replace(access, ca=None), "cannot be reached safely .*LAKE_CONNECT_CA"),
        (lambda own, access: replace(access, user=""), "does not let in user ''.*check LAKE_CONNECT_USER"),
        (lambda own, access: replace(access, password_file=wrong(own)), "does not let in user 'lake'.*the password in"),
    ],
    ids=["another authority", "no authority", "no user", "a wrong password"],
)
def test_a_worker_that_refuses_the_lake_is_reported_in_one_sentence(
    own: Own, own_lake: Settings, change: Callable[..., object], words: str
) -> None:
    settings = replace(own_lake, connect_access=change(own, own_lake.connect_access))
    with pytest.raises(SettingsError, match=words) as raised:
        failures(settings)
    assert "\n" not in str(raised.value)
    assert check_connect(settings)
    assert check_connect(own_lake) is None


def wrong(own: Own) -> Path:
    write_private(own.layout.secrets / "wrong", "wrong")
    return own.layout.secrets / "wrong"
