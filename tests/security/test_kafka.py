"""A broker that asks for TLS and a password, a certificate or a token: the lake's own code gets in, or reports in one
sentence that it does not."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError

from lake_assets.compile.topic import topic_name, topic_spec
from lake_assets.errors import LakeError, SettingsError, Unavailable
from lake_assets.kafka_security import KafkaAccess, Mechanism, TokenEndpoint
from lake_assets.landing.broker import client_config
from lake_assets.landing.produce import produce_lines
from lake_assets.landing.records import record_offsets
from lake_assets.landing.topics import compare_topics, ensure_topics, offsets
from lake_assets.settings import Settings
from lake_assets.stack.health import check_kafka
from lake_assets.stack.passwords import write_private
from stream_app.group_protocol import group_settings
from tests.support.doubles.token_server import AUDIENCE, SCOPE
from tests.support.own_servers import CLIENT, KAFKA_PASSWORD, Own
from tests.support.raw_assets import example_asset

ASSET = example_asset("leads", partitions=1)
EVENTS = [b'{"id": "%d", "at": "2026-03-01T10:00:00Z"}' % number for number in range(1_000)]


def with_access(settings: Settings, **changes: object) -> Settings:
    return replace(settings, kafka_access=replace(settings.kafka_access, **changes))


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
def test_a_topic_is_created_and_events_are_sent_and_read_by_sasl_and_tls(
    own_kafka: Settings, mechanism: Mechanism
) -> None:
    gets_in(with_access(own_kafka, mechanism=mechanism), f"leads_{mechanism[-3:].lower()}")


def gets_in(settings: Settings, name: str) -> None:
    asset = example_asset(name, partitions=1)
    topic = topic_name(asset)
    (report,) = ensure_topics(settings, [topic_spec(asset)])
    assert report.outcome == "created"
    assert produce_lines(settings, asset, EVENTS).records == len(EVENTS)
    assert offsets(settings, [topic]) == {topic: {0: (0, len(EVENTS))}}
    assert len(record_offsets(settings, topic, 0, 0, len(EVENTS) - 1)) == len(EVENTS)
    assert values(settings, topic) == EVENTS
    assert check_kafka(settings) is None
    assert group_settings(settings) == {"group.protocol": "consumer"}


def values(settings: Settings, topic: str) -> list[bytes | None]:
    options = {"group.id": "reader", "auto.offset.reset": "earliest", "enable.partition.eof": True}
    reader = Consumer({**client_config(settings), **options})
    reader.subscribe([topic])
    found: list[bytes | None] = []
    try:
        while True:
            for message in reader.consume(1_000, 1.0):
                error = message.error()
                if error is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    return found
                found.append(message.value())
    finally:
        reader.close()


def everything(settings: Settings) -> list[Callable[[], object]]:
    return [
        lambda: compare_topics(settings, [topic_spec(ASSET)]),
        lambda: produce_lines(settings, ASSET, EVENTS),
        lambda: record_offsets(settings, topic_name(ASSET), 0, 0, 1),
    ]


def refused(settings: Settings, kind: type[LakeError], words: str) -> None:
    """Each way to the broker reports it long before librdkafka's own time-outs, and so does `lake status`."""
    for attempt in everything(settings):
        began = time.monotonic()
        with pytest.raises(kind, match=words) as raised:
            attempt()
        assert time.monotonic() - began < 15
        assert "\n" not in str(raised.value)
        assert KAFKA_PASSWORD not in str(raised.value)
    assert check_kafka(settings)


def test_a_wrong_password_is_refused_in_one_sentence(own: Own, own_kafka: Settings) -> None:
    wrong = own.layout.secrets / "wrong"
    write_private(wrong, "wrong")
    settings = with_access(own_kafka, password_file=wrong)
    refused(settings, SettingsError, rf"does not let in user .*Authentication failed.*the password in {wrong}\.$")


def test_a_broker_of_another_authority_is_refused_in_one_sentence(own: Own, own_kafka: Settings) -> None:
    settings = with_access(own_kafka, ca=own.stranger.ca)
    refused(settings, SettingsError, r"cannot be reached safely .*certificate.*: check that LAKE_KAFKA_CA")


def test_a_broker_with_an_unknown_authority_is_refused_in_one_sentence(own_kafka: Settings) -> None:
    refused(with_access(own_kafka, ca=None), SettingsError, r"cannot be reached safely .*check that LAKE_KAFKA_CA")


def test_a_certificate_for_another_host_is_refused(own_kafka: Settings) -> None:
    settings = replace(own_kafka, kafka=own_kafka.kafka.replace("127.0.0.1", "localhost"))
    refused(settings, SettingsError, r"cannot be reached safely .*check that LAKE_KAFKA_CA")


def with_certificate(own: Own, settings: Settings, certificate: Path | None) -> Settings:
    """Return settings for the listener that requires a certificate, and no password."""
    access = KafkaAccess("ssl", "PLAIN", "", Path("/none"), own.authority.ca, certificate, None)
    return replace(settings, kafka=own.address("mutual"), kafka_access=access)


def test_a_broker_that_asks_for_a_certificate_is_shown_the_lake_s_own(own: Own, own_kafka: Settings) -> None:
    gets_in(with_certificate(own, own_kafka, own.certificate), "leads_mutual")


def test_a_missing_or_untrusted_client_certificate_is_one_sentence(own: Own, own_kafka: Settings) -> None:
    strange = own.layout.secrets / "strange.pem"
    write_private(strange, own.stranger.issue("127.0.0.1").decode())
    for certificate, is_now in ((None, "none yet"), (strange, strange)):
        words = rf"requires a certificate that it trusts .*: set LAKE_KAFKA_CERTIFICATE, which is {is_now}, to the file"
        refused(with_certificate(own, own_kafka, certificate), SettingsError, words)


def with_tokens(own: Own, settings: Settings, **changes: object) -> Settings:
    """Return settings for the listener that requires a token, for the client that the endpoint knows."""
    endpoint = TokenEndpoint(own.tokens.url, SCOPE, own.authority.ca)
    secret = own.layout.secrets / "client_secret"
    access = KafkaAccess("sasl_ssl", "OAUTHBEARER", CLIENT, secret, own.authority.ca, None, endpoint)
    return replace(settings, kafka=own.address("tokens"), kafka_access=replace(access, **changes))


def test_a_broker_that_asks_for_tokens_gets_them_from_the_endpoint(own: Own, own_kafka: Settings) -> None:
    given = own.tokens.given
    gets_in(with_tokens(own, own_kafka), "leads_tokens")
    assert own.tokens.given > given


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda own: {"password_file": own.certificate}, "no such client, or another secret"),
        (lambda own: {"tokens": TokenEndpoint(own.tokens.url, "", own.authority.ca)}, "invalid_scope"),
        (lambda own: {"tokens": TokenEndpoint(own.tokens.url, SCOPE, own.stranger.ca)}, "SSL certificate"),
        (lambda own: {"tokens": TokenEndpoint("https://127.0.0.1:1/", SCOPE, None)}, "Could not connect to server"),
    ],
    ids=["another secret", "no scope", "an authority that did not sign for it", "nobody there"],
)
def test_an_endpoint_that_gives_no_token_is_reported_in_one_sentence(
    own: Own, own_kafka: Settings, change: Callable[[Own], dict[str, object]], words: str
) -> None:
    settings = with_tokens(own, own_kafka, **change(own))
    refused(settings, SettingsError, rf"gives no token for user '{CLIENT}' \(.*{words}.*check .* LAKE_KAFKA_TOKEN")


def test_a_token_that_the_broker_does_not_trust_is_refused_in_one_sentence(own: Own, own_kafka: Settings) -> None:
    own.tokens.audience = "another"
    try:
        refused(with_tokens(own, own_kafka), SettingsError, rf"does not let in user '{CLIENT}' .*invalid_token")
    finally:
        own.tokens.audience = AUDIENCE


@pytest.mark.parametrize(
    ("door", "protocol"),
    [
        ("mutual", "plaintext"),
        ("kafka_port", "ssl"),
        ("inside", "ssl"),
        ("words", "plaintext"),
    ],
    ids=["TLS", "TLS with passwords", "neither", "passwords"],
)
def test_a_broker_that_closes_connections_of_a_wrong_protocol_is_reported(
    own: Own, own_kafka: Settings, door: str, protocol: str
) -> None:
    settings = replace(with_access(own_kafka, protocol=protocol), kafka=own.address(door))
    began = time.monotonic()
    with pytest.raises(Unavailable, match=f"closes each connection: .*protocol is '{protocol}', and set LAKE_"):
        compare_topics(settings, [topic_spec(ASSET)])
    assert time.monotonic() - began < 15
    assert "LAKE_KAFKA_SECURITY" in (check_kafka(settings) or "")


def test_an_invalid_certificate_is_reported_instead_of_raised(own: Own, own_kafka: Settings) -> None:
    broken = own.layout.secrets / "broken.pem"
    blocks = (f"-----BEGIN {kind}-----\nbroken\n-----END {kind}-----\n" for kind in ("PRIVATE KEY", "CERTIFICATE"))
    write_private(broken, "".join(blocks))
    settings = with_certificate(own, own_kafka, broken)
    with pytest.raises(SettingsError, match=r"does not take the settings .*ssl\.\w+\.location"):
        compare_topics(settings, [topic_spec(ASSET)])
    assert "location" in (check_kafka(settings) or "")
