"""Options that the security settings are turned into, and the sentence for each wrong setting."""

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url

from lake_assets.compile.connector import domain_connector
from lake_assets.errors import SettingsError, Unavailable
from lake_assets.home import Home
from lake_assets.kafka_security import (
    KafkaAccess,
    Mechanism,
    java_options,
    java_properties,
    librdkafka_options,
    read_certificate,
    read_password,
)
from lake_assets.landing.broker import broker_options
from lake_assets.landing.connect import rest_access
from lake_assets.landing.raw_catalog import sink_catalog
from lake_assets.settings import load_settings
from lake_assets.stack.addresses import write_addresses
from lake_assets.stack.dagster import lake_environment
from lake_assets.stack.passwords import write_private
from lake_assets.warehouse.metric_tables import sink_database

REFERENCE = "${file:/lake/secrets/connect/kafka.properties:password}"
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
SASL = {"LAKE_KAFKA_SECURITY": "sasl_ssl", "LAKE_KAFKA_USER": "lake"}
TOKENS = {"LAKE_KAFKA_SASL_MECHANISM": "OAUTHBEARER", "LAKE_KAFKA_TOKEN_URL": "https://id.example/token"}
CA = {"LAKE_KAFKA_CA": "/ca.pem"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    (tmp_path / "secrets").mkdir()
    return tmp_path


def give(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("variables", "wrong", "remedy"),
    [
        (
            {"LAKE_KAFKA_SECURITY": "tls"},
            "LAKE_KAFKA_SECURITY is 'tls'",
            "it must be one of plaintext, ssl, sasl_plaintext, sasl_ssl",
        ),
        (
            {**SASL, "LAKE_KAFKA_SASL_MECHANISM": "GSSAPI"},
            "LAKE_KAFKA_SASL_MECHANISM is 'GSSAPI'",
            "it must be one of SCRAM-SHA-512, SCRAM-SHA-256, PLAIN, OAUTHBEARER",
        ),
        (
            {**SASL, "LAKE_KAFKA_SASL_MECHANISM": "OAUTHBEARER"},
            "LAKE_KAFKA_SASL_MECHANISM is 'OAUTHBEARER' and LAKE_KAFKA_TOKEN_URL is ''",
            "set it to the https address that issues tokens",
        ),
        (
            {**SASL, **TOKENS, "LAKE_KAFKA_TOKEN_URL": "http://id.example/token"},
            "LAKE_KAFKA_SASL_MECHANISM is 'OAUTHBEARER' and LAKE_KAFKA_TOKEN_URL is 'http://id.example/token'",
            "set it to the https address that issues tokens",
        ),
        (
            {**SASL, "LAKE_KAFKA_TOKEN_CA": "/ca.pem"},
            "LAKE_KAFKA_TOKEN_CA is set, but LAKE_KAFKA_SASL_MECHANISM is 'SCRAM-SHA-512'",
            "set LAKE_KAFKA_SASL_MECHANISM to OAUTHBEARER",
        ),
        (
            {**SASL, "LAKE_KAFKA_SECURITY": "sasl_plaintext", "LAKE_KAFKA_CERTIFICATE": "/own.pem"},
            "LAKE_KAFKA_CERTIFICATE is set, but LAKE_KAFKA_SECURITY is 'sasl_plaintext'",
            "set LAKE_KAFKA_SECURITY to ssl or sasl_ssl",
        ),
        ({"LAKE_KAFKA_SECURITY": "sasl_ssl"}, "LAKE_KAFKA_SECURITY is 'sasl_ssl'", "set LAKE_KAFKA_USER too"),
        (
            {"LAKE_KAFKA_USER": "lake"},
            "LAKE_KAFKA_USER is set, but LAKE_KAFKA_SECURITY is 'plaintext'",
            "set LAKE_KAFKA_SECURITY to sasl_ssl, or to sasl_plaintext where no one else can listen",
        ),
        (
            CA,
            "LAKE_KAFKA_CA is set, but LAKE_KAFKA_SECURITY is 'plaintext'",
            "set LAKE_KAFKA_SECURITY to ssl or sasl_ssl",
        ),
        (
            {**SASL, **CA, "LAKE_KAFKA_SECURITY": "sasl_plaintext"},
            "LAKE_KAFKA_CA is set, but LAKE_KAFKA_SECURITY is 'sasl_plaintext'",
            "set LAKE_KAFKA_SECURITY to ssl or sasl_ssl",
        ),
        (
            {"LAKE_CONNECT": "https://lake:pw@connect:8083"},
            "LAKE_CONNECT has a password in it",
            "set LAKE_CONNECT_USER and LAKE_CONNECT_PASSWORD_FILE",
        ),
        (
            {"LAKE_CONNECT_PASSWORD_FILE": "/pw"},
            "LAKE_CONNECT_PASSWORD_FILE is set, but LAKE_CONNECT_USER is ''",
            "set LAKE_CONNECT_USER to the lake's user there",
        ),
        (
            {"LAKE_CONNECT": "http://connect:8083", "LAKE_CONNECT_CA": "/ca.pem"},
            "LAKE_CONNECT_CA is set, but LAKE_CONNECT is 'http://connect:8083'",
            "set LAKE_CONNECT to an address with https",
        ),
        (
            {"LAKE_POSTGRES_SSLMODE": "on"},
            "LAKE_POSTGRES_SSLMODE is 'on'",
            "it must be one of prefer, require, verify-ca, verify-full",
        ),
        (
            {"LAKE_POSTGRES_SSLMODE": "verify-full"},
            "LAKE_POSTGRES_SSLMODE is 'verify-full'",
            "set LAKE_POSTGRES_CA to the file of its authority",
        ),
        (
            {"LAKE_POSTGRES_CA": "/ca.pem"},
            "LAKE_POSTGRES_CA is set, but LAKE_POSTGRES_SSLMODE is 'prefer'",
            "set LAKE_POSTGRES_SSLMODE to verify-full",
        ),
    ],
)
def test_a_wrong_setting_is_reported_in_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], wrong: str, remedy: str
) -> None:
    give(monkeypatch, variables)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert str(raised.value) == f"{wrong}: {remedy}."


def test_without_settings_no_client_has_options_of_security(home: Path) -> None:
    settings = load_settings()
    assert broker_options(settings) == {"bootstrap.servers": settings.kafka}
    assert rest_access(settings) == {"auth": None, "verify": True}
    assert settings.kafka_for_java == {}
    assert "ssl" not in settings.postgres.conninfo("lake") + settings.postgres.url("lake")
    assert sink_database(settings).url.endswith(
        "?currentSchema=metrics&reWriteBatchedInserts=true&connectTimeout=10&tcpKeepAlive=true"
    )


def test_embedded_broker_is_reached_with_its_password_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_addresses(Home(home), {"kafka_port": 9, "kafka_user": "lake"})
    write_private(home / "secrets" / "kafka_password", "pw")
    settings = load_settings()
    assert settings.kafka_producer == "producer"
    assert broker_options(settings) == {
        "bootstrap.servers": "127.0.0.1:9",
        "security.protocol": "sasl_plaintext",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "lake",
        "sasl.password": "pw",
    }
    assert settings.kafka_for_java["security.protocol"] == "SASL_PLAINTEXT"
    environment = lake_environment(settings, Home(home))
    assert environment["LAKE_KAFKA_PASSWORD_FILE"] == str(home / "secrets" / "kafka_password")
    assert "pw" not in environment.values()
    # The owner of another broker decides about its users and their rights.
    give(monkeypatch, {"LAKE_KAFKA": "broker:9092"})
    settings = load_settings()
    assert broker_options(settings) == {"bootstrap.servers": "broker:9092"}
    assert settings.kafka_producer == ""
    assert "LAKE_KAFKA_PASSWORD_FILE" not in lake_environment(settings, Home(home))


def test_clients_of_kafka_get_the_lake_s_login_and_the_trusted_authority(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, {**SASL, **CA, "LAKE_KAFKA_CA": str(home / "ca.pem")})
    (home / "ca.pem").write_text("certificate", "utf-8")
    write_private(home / "secrets" / "kafka_password", "pw \n")
    settings = load_settings()
    assert broker_options(settings) == {
        "bootstrap.servers": settings.kafka,
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "lake",
        "sasl.password": "pw ",
        "ssl.ca.location": str(home / "ca.pem"),
    }
    assert "pw" not in repr(settings)


def test_tls_alone_asks_for_no_password(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, {"LAKE_KAFKA_SECURITY": "ssl"})
    settings = load_settings()
    assert broker_options(settings) == {"bootstrap.servers": settings.kafka, "security.protocol": "ssl"}
    assert settings.kafka_for_java == {"security.protocol": "SSL"}


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
def test_the_sink_gets_the_same_with_a_reference_for_the_password(mechanism: Mechanism) -> None:
    access = KafkaAccess("sasl_ssl", mechanism, 'a"b', Path("/none"), Path("/ca.pem"), None, None)
    options = java_options(access, REFERENCE)
    module = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
    assert options == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": mechanism,
        "sasl.jaas.config": f"org.apache.kafka.common.security.{module} required "
        f'username="a\\"b" password="{REFERENCE}";',
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": "/ca.pem",
    }
    spec = domain_connector(
        "crm",
        catalog={},
        warehouse="file:///raw",
        bucket={},
        commit_interval_ms=1000,
        tasks=1,
        kafka=options,
        tables={},
    )
    assert {f"iceberg.kafka.{key}": value for key, value in options.items()}.items() <= spec.config.items()
    assert librdkafka_options(access, "pw")["security.protocol"] == "sasl_ssl"


def test_a_certificate_of_the_lake_s_own_is_one_file_for_all_clients(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = home / "own.pem"
    write_private(own, PRIVATE_KEY + CERTIFICATE)
    give(monkeypatch, {"LAKE_KAFKA_SECURITY": "ssl", "LAKE_KAFKA_CERTIFICATE": str(own)})
    settings = load_settings()
    assert broker_options(settings) == {
        "bootstrap.servers": settings.kafka,
        "security.protocol": "ssl",
        "ssl.certificate.location": str(own),
        "ssl.key.location": str(own),
    }
    assert settings.kafka_for_java == {
        "security.protocol": "SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(own),
    }


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (PRIVATE_KEY + CERTIFICATE, 0o640, "has the private key and the certificate and others may read it: run"),
        (CERTIFICATE, 0o600, "has no private key that all parts can read: write it as `openssl pkcs8"),
        (PRIVATE_KEY.replace("PRIVATE", "RSA PRIVATE") + CERTIFICATE, 0o600, "has no private key that all parts"),
        (PRIVATE_KEY.replace("PRIVATE", "ENCRYPTED PRIVATE") + CERTIFICATE, 0o600, "has no private key that all"),
        (PRIVATE_KEY, 0o600, "has no certificate: append it after the private key."),
    ],
    ids=["others may read it", "no key", "an old form", "behind a password", "no certificate"],
)
def test_a_certificate_file_that_not_all_clients_can_use_is_reported(
    tmp_path: Path, text: str, mode: int, words: str
) -> None:
    file = tmp_path / "own.pem"
    file.write_text(text, "utf-8")
    file.chmod(mode)
    with pytest.raises(SettingsError, match=f"^{file} {words}"):
        read_certificate(file, "LAKE_KAFKA_CERTIFICATE")


def test_clients_get_the_token_endpoint_and_the_secret_only_by_reference(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"LAKE_KAFKA_TOKEN_SCOPE": "lake", "LAKE_KAFKA_TOKEN_CA": str(home / "ca.pem")}
    give(monkeypatch, {**SASL, **TOKENS, **more})
    (home / "ca.pem").write_text("certificate", "utf-8")
    write_private(home / "secrets" / "kafka_password", "pw")
    settings = load_settings()
    assert broker_options(settings) == {
        "bootstrap.servers": settings.kafka,
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": "lake",
        "sasl.oauthbearer.client.secret": "pw",
        "sasl.oauthbearer.token.endpoint.url": "https://id.example/token",
        "sasl.oauthbearer.scope": "lake",
        "https.ca.location": str(home / "ca.pem"),
    }
    package = "org.apache.kafka.common.security.oauthbearer"
    reference = f"${{file:{home}/secrets/connect/kafka.properties:password}}"
    assert settings.kafka_for_java == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.jaas.config": f"{package}.OAuthBearerLoginModule required "
        f'ssl.truststore.type="PEM" ssl.truststore.location="{home}/ca.pem";',
        "sasl.login.callback.handler.class": f"{package}.OAuthBearerLoginCallbackHandler",
        "sasl.oauthbearer.token.endpoint.url": "https://id.example/token",
        "sasl.oauthbearer.client.credentials.client.id": "lake",
        "sasl.oauthbearer.client.credentials.client.secret": reference,
        "sasl.oauthbearer.scope": "lake",
    }
    assert java_properties(settings.kafka_access) == (
        "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=https://id.example/token",
    )


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660])
def test_a_password_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "password"
    file.write_text("pw", "utf-8")
    file.chmod(mode)
    with pytest.raises(SettingsError) as raised:
        read_password(file, "LAKE_KAFKA_PASSWORD_FILE")
    assert str(raised.value) == f"{file} has the password and others may read it: run `chmod 600 {file}`."


def test_a_missing_password_is_reported_with_the_file_to_write_it_to(tmp_path: Path) -> None:
    file = tmp_path / "password"
    with pytest.raises(SettingsError, match=rf"^there is no file {file}: write .* LAKE_KAFKA_PASSWORD_FILE\.$"):
        read_password(file, "LAKE_KAFKA_PASSWORD_FILE")
    write_private(file, "\n")
    with pytest.raises(SettingsError, match=rf"^{file} is empty: write the password into it\.$"):
        read_password(file, "LAKE_KAFKA_PASSWORD_FILE")


@pytest.mark.parametrize(
    ("variables", "variable"),
    [
        ({"LAKE_KAFKA_SECURITY": "ssl", "LAKE_KAFKA_CA": "/no/ca.pem"}, "LAKE_KAFKA_CA"),
        ({"LAKE_CONNECT": "https://connect:8083", "LAKE_CONNECT_CA": "/no/ca.pem"}, "LAKE_CONNECT_CA"),
    ],
    ids=["Kafka", "Connect"],
)
def test_a_file_of_an_authority_that_is_not_there_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], variable: str
) -> None:
    give(monkeypatch, variables)
    settings = load_settings()
    with pytest.raises(SettingsError, match=rf"^{variable} is '/no/ca.pem', which does not exist"):
        (broker_options if variable == "LAKE_KAFKA_CA" else rest_access)(settings)


def test_libpq_and_jdbc_get_the_same_settings_of_postgres(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, {"LAKE_POSTGRES_SSLMODE": "verify-full", "LAKE_POSTGRES_CA": "/of a/ca.pem"})
    settings = load_settings()
    assert settings.postgres.conninfo("lake").endswith(" sslmode='verify-full' sslrootcert='/of a/ca.pem'")
    for url in (
        settings.postgres.url("lake"),
        sink_database(settings).url,
        sink_catalog(settings)["iceberg.catalog.uri"],
    ):
        assert url.endswith("&sslmode=verify-full&sslrootcert=/of%20a/ca.pem"), url


def test_connection_to_a_host_that_vanished_ends(home: Path) -> None:
    postgres = load_settings().postgres
    ends = ("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
    from_text = conninfo_to_dict(postgres.conninfo("lake"))
    from_url = make_url(postgres.url("lake", "postgresql+psycopg2")).query
    for parameters in (from_text, from_url):
        assert all(int(str(parameters[name])) > 0 for name in ends)
    assert "&connectTimeout=10&tcpKeepAlive=true" in postgres.jdbc_url("raw")


def test_a_link_to_a_file_of_an_authority_is_passed_on_unresolved(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connectors' configuration names it, and it is read when the folder behind it has changed."""
    (home / "ca.pem").symlink_to(home / "..data" / "ca.pem")
    give(monkeypatch, {**SASL, "LAKE_KAFKA_CA": str(home / "ca.pem")})
    assert load_settings().kafka_for_java["ssl.truststore.location"] == str(home / "ca.pem")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("server does not support SSL, but SSL was required", SettingsError),
        ('no pg_hba.conf entry for host "10.0.0.1", user "lake", database "lake", no encryption', SettingsError),
        ("Connection refused\n\tIs the server running on that host?", Unavailable),
        # An end of the session, not of the trust.
        ("SSL connection has been closed unexpectedly", Unavailable),
    ],
)
def test_a_server_that_is_down_is_distinguished_from_an_unsafe_one(
    home: Path, reason: str, kind: type[Exception]
) -> None:
    error = psycopg.OperationalError(f'connection failed: connection to server at "h", port 5 failed: {reason}')
    problem = load_settings().postgres.not_reached(error)
    assert type(problem) is kind
    assert f"({reason.splitlines()[0]})" in str(problem)
