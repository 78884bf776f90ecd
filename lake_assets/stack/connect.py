"""The Kafka Connect worker."""

from collections.abc import Mapping
from pathlib import Path
from secrets import token_urlsafe

from lake_assets.compile.connector import CLIENT_OVERRIDES
from lake_assets.errors import SettingsError
from lake_assets.home import Home
from lake_assets.kafka_security import read_certificate
from lake_assets.stack.addresses import THIS_MACHINE
from lake_assets.stack.class_archives import archive_options
from lake_assets.stack.connect_plugin import AUTHENTICATION, plugin_folder
from lake_assets.stack.kafka import LOGGING, fill_template
from lake_assets.stack.passwords import write_private
from lake_assets.stack.programs import Program

USER = "lake"

# The worker's own clients, and those it makes for connectors.
CLIENTS = ("", "producer.", "consumer.", "admin.")


def prepare_connect(
    layout: Home,
    jars: Path,
    kafka: str,
    port: int,
    *,
    listen: str = THIS_MACHINE,
    host: str = THIS_MACHINE,
    security: Mapping[str, str] | None = None,
    certificate: Path | None = None,
    login: tuple[str, Path] | None = None,
) -> None:
    """Write the worker's configuration. Raises SettingsError for an invalid `certificate`.

    `kafka` is the broker, `listen` the address to bind, `host` the name by which other workers reach it. `security`
    holds the broker's client options, None for an unsecured one. With a `certificate`, a file of the private key and
    the certificate, the REST API uses https. `login` is the user and the password's file of the REST API, which answers
    anyone without it.
    """
    options = {f"{client}{key}": value for client in CLIENTS for key, value in (security or {}).items()}
    rest = _rest_options(layout.run / "rest.p12", certificate) if certificate else {}
    if login:
        user, file = login
        rest |= {
            "rest.extension.classes": AUTHENTICATION,
            "lake.rest.user": user,
            "lake.rest.password.file": str(file),
        }
    fill_template(
        "worker.properties",
        layout.run / "worker.properties",
        kafka=kafka,
        connect_port=port,
        scheme="https" if certificate else "http",
        listen=listen,
        host=host,
        plugins=plugin_folder(jars),
        secrets=layout.connect_secrets,
        security=_lines(options),
        overrides=",".join(CLIENT_OVERRIDES),
        rest=_lines(rest),
    )


def keep_rest_password(layout: Home) -> tuple[str, Path]:
    """Return the login of the REST API, with a new password where there is none."""
    if not layout.rest_password.exists():
        write_private(layout.rest_password, f"{token_urlsafe(24)}\n")
    return USER, layout.rest_password


def _rest_options(keystore: Path, certificate: Path) -> dict[str, str]:
    """Make the keystore of the REST API's listener, which reads no PEM, with a new password."""
    password, pem = token_urlsafe(24), read_certificate(certificate)
    try:
        write_private(keystore, _pkcs12(pem, password))
    except ValueError as error:
        raise SettingsError(f"{certificate} cannot be used for https: {error}.") from error
    options = {
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": str(keystore),
        "ssl.keystore.password": password,
        "ssl.key.password": password,
    }
    return {f"listeners.https.{key}": value for key, value in options.items()}


def _pkcs12(pem: str, password: str) -> bytes:
    """Convert PEM to PKCS12. Raises ValueError."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12
    from cryptography.x509 import load_pem_x509_certificates

    first, *chain = load_pem_x509_certificates(pem.encode())
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, (RSAPrivateKey, EllipticCurvePrivateKey)) or key.public_key() != first.public_key():
        raise ValueError("its first certificate is not that of its private key")
    return pkcs12.serialize_key_and_certificates(b"rest", key, first, chain, BestAvailableEncryption(password.encode()))


def _lines(options: Mapping[str, str]) -> str:
    """Render options as a properties file, where a backslash would begin an escape."""
    return "\n".join(f"{key}={value}".replace("\\", "\\\\") for key, value in options.items())


def connect_program(layout: Home, java: str, jars: Path, properties: tuple[str, ...] = ()) -> Program:
    """Return the worker's program; `properties` are more JVM options.

    It has no `needs`: the worker takes seconds to load its plugins and then waits for the broker itself.
    """
    logging = f"-Dlog4j2.configurationFile={LOGGING}"
    main = "org.apache.kafka.connect.cli.ConnectDistributed"
    return Program(
        name="connect",
        command=(
            *(java, "-Xms256m", "-Xmx1g", *archive_options(java, jars, "connect"), logging, *properties),
            *("-cp", f"{jars / 'kafka'}/*", main),
            str(layout.run / "worker.properties"),
        ),
        # Hadoop's file system creates its temporary folders relative to the working directory.
        directory=layout.home,
        stop_seconds=15,
    )
