"""Security settings for Kafka and Kafka Connect. Passwords are given by their files, and never stored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from lake_assets.errors import SettingsError

Protocol = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"]
MECHANISMS: tuple[Mechanism, ...] = get_args(Mechanism)
# Users of the embedded broker: all parts of the lake, and programs that send events.
LAKE_USER, PRODUCER = "lake", "producer"
# Prefix of Kafka's Java classes.
_SECURITY = "org.apache.kafka.common.security"
_LOGIN_MODULES: dict[Mechanism, str] = {
    "SCRAM-SHA-512": "scram.ScramLoginModule",
    "SCRAM-SHA-256": "scram.ScramLoginModule",
    "PLAIN": "plain.PlainLoginModule",
}


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """The OAuth endpoint that issues tokens for the mechanism OAUTHBEARER; user and password are the client's id and
    secret.

    `scope` may be empty. `ca` is as Kafka's.
    """

    url: str
    scope: str
    ca: Path | None


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """The lake's access to Kafka.

    `user` and `password_file` are for SASL. `ca` is the file of the authority that signed the brokers' certificates,
    None for those that the machine trusts. `certificate` is the file of the lake's own certificate, for brokers that
    require one. It has the private key and the certificate with its chain, because Java reads both from one file.
    `tokens` is set with the mechanism OAUTHBEARER, and only then.
    """

    protocol: Protocol
    mechanism: Mechanism
    user: str
    password_file: Path
    ca: Path | None
    certificate: Path | None
    tokens: TokenEndpoint | None

    @property
    def sasl(self) -> bool:
        return self.protocol.startswith("sasl_")

    @property
    def tls(self) -> bool:
        return self.protocol.endswith("ssl")


def embedded_access(user: str, password_file: Path) -> KafkaAccess:
    """Return the access of a user of the embedded broker."""
    return KafkaAccess("sasl_plaintext", "PLAIN", user, password_file, None, None, None)


@dataclass(frozen=True, slots=True)
class ConnectAccess:
    """The lake's access to Kafka Connect's REST API. Without a `user` no password is sent. `ca` is as Kafka's."""

    user: str
    password_file: Path
    ca: Path | None


def librdkafka_options(access: KafkaAccess, password: str) -> dict[str, str]:
    """Return the security options of a librdkafka client; `password` is ignored without SASL."""
    if access.protocol == "plaintext":
        return {}
    options = {"security.protocol": access.protocol}
    if access.tokens:
        options |= {
            "sasl.mechanism": access.mechanism,
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.client.id": access.user,
            "sasl.oauthbearer.client.secret": password,
            "sasl.oauthbearer.token.endpoint.url": access.tokens.url,
        }
        if access.tokens.scope:
            options["sasl.oauthbearer.scope"] = access.tokens.scope
        if access.tokens.ca:
            options["https.ca.location"] = str(access.tokens.ca)
    elif access.sasl:
        options |= {"sasl.mechanism": access.mechanism, "sasl.username": access.user, "sasl.password": password}
    if access.ca:
        options["ssl.ca.location"] = str(access.ca)
    if access.certificate:
        options |= {"ssl.certificate.location": str(access.certificate), "ssl.key.location": str(access.certificate)}
    return options


def java_options(access: KafkaAccess, password: str) -> dict[str, str]:
    """Return the same for a client in Java; `password` is a reference for a config provider (`${file:PATH:KEY}`)."""
    if access.protocol == "plaintext":
        return {}
    options = {"security.protocol": access.protocol.upper()}
    if access.tokens:
        options |= _java_tokens(access.user, access.tokens, password)
    elif access.sasl:
        login = _login(_LOGIN_MODULES[access.mechanism], username=access.user, password=password)
        options |= {"sasl.mechanism": access.mechanism, "sasl.jaas.config": login}
    if access.ca:
        options |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(access.ca)}
    if access.certificate:
        options |= {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(access.certificate)}
    return options


def java_properties(access: KafkaAccess) -> tuple[str, ...]:
    """Return options of the JVM itself: Kafka requests tokens from no other addresses than those named here."""
    return (f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={access.tokens.url}",) if access.tokens else ()


def _java_tokens(user: str, tokens: TokenEndpoint, password: str) -> dict[str, str]:
    trust = {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(tokens.ca)} if tokens.ca else {}
    options = {
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.jaas.config": _login("oauthbearer.OAuthBearerLoginModule", **trust),
        "sasl.login.callback.handler.class": f"{_SECURITY}.oauthbearer.OAuthBearerLoginCallbackHandler",
        "sasl.oauthbearer.token.endpoint.url": tokens.url,
        "sasl.oauthbearer.client.credentials.client.id": user,
        "sasl.oauthbearer.client.credentials.client.secret": password,
    }
    return {**options, "sasl.oauthbearer.scope": tokens.scope} if tokens.scope else options


def _login(module: str, **values: str) -> str:
    """Return a JAAS entry. The value behind a reference must be escaped in its file."""
    escaped = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in values.items()}
    return " ".join((f"{_SECURITY}.{module} required", *(f'{key}="{value}"' for key, value in escaped.items()))) + ";"


def read_password(file: Path, variable: str) -> str:
    """Return the file's text without its line end; `variable` is the setting of its path. Raises SettingsError."""
    password = _read_private(file, variable, "the password").rstrip("\r\n")
    if not password:
        raise SettingsError(f"{file} is empty: write the password into it.")
    return password


def check_ca(file: Path | None, variable: str) -> None:
    """Raise SettingsError when the setting names a missing file."""
    if file is not None and not file.is_file():
        raise SettingsError(
            f"{variable} is '{file}', which does not exist: name the certificate file of the authority."
        )


def read_certificate(file: Path, variable: str | None = None) -> str:
    """Return a private key and a certificate, as both Java and librdkafka read them. Raises SettingsError.

    `variable` is as above, None when no setting names the file.
    """
    text = _read_private(file, variable, "the private key and the certificate")
    if "-----BEGIN PRIVATE KEY-----" not in text:
        raise SettingsError(
            f"{file} has no private key that all parts can read: write it as `openssl pkcs8 -topk8 -nocrypt -in KEY` "
            "does, followed by the certificate."
        )
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise SettingsError(f"{file} has no certificate: append it after the private key.")
    return text


def _read_private(file: Path, variable: str | None, content: str) -> str:
    if not file.is_file():
        other = f", or name another with {variable}" if variable else ""
        raise SettingsError(f"there is no file {file}: write {content} into it{other}.")
    if file.stat().st_mode & 0o077:
        raise SettingsError(f"{file} has {content} and others may read it: run `chmod 600 {file}`.")
    return file.read_text("utf-8")
