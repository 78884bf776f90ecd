"""A team's own servers, each with TLS and a password, ended by process id."""

import pwd
import signal
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # pyright: ignore[reportPrivateImportUsage]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from lake_assets.home import Home
from lake_assets.kafka_security import java_properties
from lake_assets.settings import Settings, load_settings
from lake_assets.stack.addresses import choose_ports, write_addresses
from lake_assets.stack.connect import connect_program, prepare_connect
from lake_assets.stack.health import check_connect
from lake_assets.stack.jars import jars_folder
from lake_assets.stack.java import find_java
from lake_assets.stack.kafka import kafka_program, prepare_kafka
from lake_assets.stack.passwords import keep_kafka_passwords, keep_passwords, write_private
from lake_assets.stack.postgres import postgres_program, prepare_postgres
from lake_assets.stack.programs import Program
from lake_assets.stack.roles import bootstrap
from tests.support.certificates import Authority
from tests.support.conditions import wait_until
from tests.support.doubles.token_server import AUDIENCE, ISSUER, SCOPE, TokenServer, serving
from tests.support.tls_proxy import tls_door

HERE = "127.0.0.1"
# With the characters that JAAS and properties files escape.
USER = 'team\\"lake'
# How the lake gets in at Kafka's: with a name and a password, by its certificate, with tokens.
WAYS = ("passwords", "certificate", "tokens")
CLIENT = "lake-client"
CLIENT_SECRET = 'client"s \\ 5%-token-secret'
KAFKA_PASSWORD = 'back\\slash "quoted" 5%-secret'
CONNECT_PASSWORD = "worker:secret"
# A listener for each way to let clients in, and one without for those who look after the broker.
DOORS = {
    "inside": "PLAINTEXT",
    "kafka_port": "SASL_SSL",
    "mutual": "SSL",
    "words": "SASL_PLAINTEXT",
    "tokens": "SASL_SSL",
}
BROKER = """
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
inter.broker.listener.name=INSIDE
listener.security.protocol.map={protocols},CONTROLLER:PLAINTEXT
authorizer.class.name=
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.mutual.ssl.client.auth=required
listener.name.tokens.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.tokens.oauthbearer.sasl.jaas.config={module}.oauthbearer.OAuthBearerLoginModule required;
listener.name.tokens.oauthbearer.sasl.server.callback.handler.class={module}.oauthbearer.OAuthBearerValidatorCallbackHandler
listener.name.tokens.oauthbearer.sasl.oauthbearer.jwks.endpoint.url={jwks}
listener.name.tokens.oauthbearer.sasl.oauthbearer.expected.audience={audience}
listener.name.tokens.oauthbearer.sasl.oauthbearer.expected.issuer={issuer}
"""
MODULE = "org.apache.kafka.common.security"
WORKER = """
config.providers.file.param.allowed.paths={secrets}
"""


@dataclass(frozen=True)
class Own:
    """The home of a lake whose servers are a team's, with the authority of their certificates and another one."""

    layout: Home
    ports: dict[str, int | str]
    authority: Authority
    stranger: Authority
    keystore: Path
    tokens: TokenServer

    @staticmethod
    def make(home: Path) -> "Own":
        layout = Home(home)
        layout.create()
        ports = choose_ports({}, home, frozenset())
        write_addresses(layout, ports)
        ports |= {door: _free_port() for door in (*DOORS, "second_worker") if door not in ports}
        authority = Authority.make(home / "authority.pem")
        keystore = home / "server.pem"
        write_private(keystore, authority.issue(HERE).decode())
        write_private(layout.secrets / "client.pem", authority.issue(HERE).decode())
        tokens = TokenServer(_free_port(), home / "jwks.json", CLIENT, CLIENT_SECRET)
        return Own(layout, ports, authority, Authority.make(home / "stranger.pem"), keystore, tokens)

    def address(self, port: str) -> str:
        return f"{HERE}:{self.ports[port]}"

    @property
    def certificate(self) -> Path:
        """The lake's own, for a broker that asks for one."""
        return self.layout.secrets / "client.pem"

    def environment(self) -> dict[str, str]:
        """The settings by which the lake reaches all three servers."""
        return {
            "LAKE_HOME": str(self.layout.home),
            "LAKE_KAFKA": self.address("kafka_port"),
            "LAKE_KAFKA_SECURITY": "sasl_ssl",
            "LAKE_KAFKA_USER": USER,
            "LAKE_KAFKA_CA": str(self.authority.ca),
            "LAKE_CONNECT": f"https://{self.address('connect_port')}",
            "LAKE_CONNECT_USER": "lake",
            "LAKE_CONNECT_CA": str(self.authority.ca),
            "LAKE_POSTGRES_SSLMODE": "verify-full",
            "LAKE_POSTGRES_CA": str(self.authority.ca),
        }

    def write_passwords(self) -> None:
        secrets = self.layout.secrets
        write_private(secrets / "kafka_password", f"{KAFKA_PASSWORD}\n")
        write_private(secrets / "connect_password", f"{CONNECT_PASSWORD}\n")
        write_private(secrets / "client_secret", f"{CLIENT_SECRET}\n")

    @contextmanager
    def way_in(self, way: str) -> Generator[None]:
        """The settings of one of WAYS for the time of the block, and what the worker then may know."""
        changes: dict[str, dict[str, str | None]] = {
            "passwords": {},
            "certificate": {
                "LAKE_KAFKA": self.address("mutual"),
                "LAKE_KAFKA_SECURITY": "ssl",
                "LAKE_KAFKA_USER": None,
                "LAKE_KAFKA_CERTIFICATE": str(self.certificate),
            },
            "tokens": {
                "LAKE_KAFKA": self.address("tokens"),
                "LAKE_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
                "LAKE_KAFKA_USER": CLIENT,
                "LAKE_KAFKA_PASSWORD_FILE": str(self.layout.secrets / "client_secret"),
                "LAKE_KAFKA_TOKEN_URL": self.tokens.url,
                "LAKE_KAFKA_TOKEN_SCOPE": SCOPE,
                "LAKE_KAFKA_TOKEN_CA": str(self.authority.ca),
            },
        }
        secret = {"passwords": _jaas(KAFKA_PASSWORD), "certificate": "", "tokens": CLIENT_SECRET}[way]
        write_private(self.layout.connect_secrets / "kafka.properties", f"password={_property(secret)}\n")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in changes[way].items():
                if value is None:
                    patch.delenv(name)
                else:
                    patch.setenv(name, value)
            yield


@contextmanager
def kafka(own: Own) -> Generator[None]:
    """A broker with all DOORS, which makes its users by the one that is open."""
    java, jars = find_java(), jars_folder()
    keep_kafka_passwords(own.layout, own.address("kafka_port"))
    own.write_passwords()
    prepare_kafka(own.layout, java, jars, own.ports)
    text = BROKER.format(
        listeners=",".join(f"{door.upper()}://{own.address(door)}" for door in DOORS),
        protocols=",".join(f"{door.upper()}:{protocol}" for door, protocol in DOORS.items()),
        controller=own.ports["controller_port"],
        keystore=own.keystore,
        authority=own.authority.ca,
        module=MODULE,
        jwks=own.tokens.jwks.as_uri(),
        audience=AUDIENCE,
        issuer=ISSUER,
    )
    logins = {
        "plain": f'{MODULE}.plain.PlainLoginModule required "user_{_jaas(USER)}"="{_jaas(KAFKA_PASSWORD)}";',
        "scram-sha-256": f"{MODULE}.scram.ScramLoginModule required;",
        "scram-sha-512": f"{MODULE}.scram.ScramLoginModule required;",
    }
    for door, (mechanism, login) in product(("kafka_port", "words"), logins.items()):
        text += f"listener.name.{door}.{mechanism}.sasl.jaas.config={_property(login)}\n"
    with (own.layout.run / "broker.properties").open("a", encoding="utf-8") as config:
        config.write(text)
    program = kafka_program(own.layout, java, jars)
    allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={own.tokens.jwks.as_uri()}"
    command = (program.command[0], allowed, *program.command[1:])
    with _running(own.layout, replace(program, command=command)), serving(own.tokens, own.keystore):
        admin = AdminClient({"bootstrap.servers": own.address("inside"), "log_level": 0})
        wait_until(lambda: _answers(admin), 60)
        users = [
            UserScramCredentialUpsertion(USER, ScramCredentialInfo(mechanism, 4096), KAFKA_PASSWORD.encode())
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
        ]
        for one in users:
            admin.alter_user_scram_credentials([one])[USER].result(60)
        yield


@contextmanager
def postgres(own: Own) -> Generator[None]:
    """A server that refuses clients without TLS, with the lake's roles."""
    layout, port, settings = own.layout, int(own.ports["postgres_port"]), load_settings()
    inside = _free_port()
    passwords = keep_passwords(layout, HERE, port)
    prepare_postgres(layout, inside, passwords["lake_admin"])
    with _running(layout, postgres_program(layout)), tls_door(port, inside, own.keystore):
        wait_until(lambda: _has_roles(settings, passwords), 60)
        yield


@contextmanager
def connect(own: Own, port: str = "connect_port") -> Generator[Settings]:
    """A worker whose own clients and REST API are secured."""
    java, jars, settings = find_java(), jars_folder(), replace(load_settings(), connect=f"https://{own.address(port)}")
    layout = Home(own.layout.home / port)
    layout.create()
    security, number = settings.kafka_for_java, int(own.ports[port])
    login = (settings.connect_access.user, settings.connect_access.password_file)
    prepare_connect(layout, jars, settings.kafka, number, security=security, certificate=own.keystore, login=login)
    with (layout.run / "worker.properties").open("a", encoding="utf-8") as config:
        config.write(WORKER.format(secrets=own.layout.connect_secrets))
    program = connect_program(layout, java, jars, java_properties(settings.kafka_access))
    with _running(own.layout, replace(program, name=port)):
        wait_until(lambda: check_connect(settings) is None, 120)
        yield settings


@contextmanager
def _running(layout: Home, program: Program) -> Generator[None]:
    user = pwd.getpwnam(program.user) if program.user else None
    with layout.log(program.name).open("ab") as log:
        process = subprocess.Popen(
            program.command,
            stdout=log,
            stderr=log,
            cwd="/" if user else program.directory or layout.home,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
    try:
        yield
    finally:
        # A Postgres that is killed leaves its shared memory behind.
        process.send_signal(getattr(signal, f"SIG{program.stop_signal}"))
        try:
            process.wait(program.stop_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _jaas(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _property(text: str) -> str:
    return text.replace("\\", "\\\\")


def _free_port() -> int:
    with socket.create_server((HERE, 0)) as probe:
        return probe.getsockname()[1]


def _has_roles(settings: Settings, passwords: dict[str, str]) -> bool:
    admin = settings.postgres.conninfo("lake_admin", "postgres")
    try:
        bootstrap(settings.postgres, admin, passwords, embedded=True)
    except psycopg.OperationalError:
        return False
    return True


def _answers(admin: AdminClient) -> bool:
    try:
        admin.list_topics(timeout=5)
    except KafkaException:
        return False
    return True
