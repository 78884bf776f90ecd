"""Entrypoint of the images, as processes of this machine."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from lake_assets.errors import LakeError, SettingsError
from lake_assets.home import Home
from lake_assets.settings import load_settings
from lake_assets.stack.container import PORTS, main, make_home, make_passwords, programs_of
from lake_assets.stack.passwords import read_kafka_passwords, read_passwords, write_private
from tests.support.certificates import Authority
from tests.support.conditions import wait_until

# Serves programs given as NAME CODE pairs; each needs the one before it, which is well when its file is there.
SERVE = """
import sys
from pathlib import Path
from lake_assets.stack.container import serve
from lake_assets.stack.programs import Program
folder, *pairs = sys.argv[1:]
names = pairs[::2]
programs = [
    Program(name, (sys.executable, "-c", code, folder), tuple(names[place - 1 : place]), stop_seconds=2)
    for place, (name, code) in enumerate(zip(names, pairs[1::2]))
]
sys.exit(serve(programs, lambda name: (Path(folder) / name).exists()))
"""
MARK = "import os, sys, time; from pathlib import Path; Path(sys.argv[1], '{name}').write_text(str(os.getpid()));"
STAY = "time.sleep(3600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + MARK + STAY


def served(folder: Path, *pairs: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", SERVE, str(folder), *pairs]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)


def pid_of(folder: Path, name: str) -> int:
    wait_until(lambda: (folder / name).exists() and (folder / name).read_text("utf-8") != "")
    return int((folder / name).read_text("utf-8"))


def test_when_one_program_ends_the_others_end_and_the_container_fails(tmp_path: Path) -> None:
    long = MARK.format(name="long") + STAY
    container = served(tmp_path, "long", long, "short", MARK.format(name="short"))
    output, _ = container.communicate()
    assert container.returncode == 1
    assert "short exited" in output
    assert not psutil.pid_exists(pid_of(tmp_path, "long"))


def test_a_stopped_container_ends_its_programs_even_deaf_ones(tmp_path: Path) -> None:
    container = served(tmp_path, "one", MARK.format(name="one") + STAY, "deaf", DEAF.format(name="deaf"))
    pids = [pid_of(tmp_path, name) for name in ("one", "deaf")]
    container.send_signal(signal.SIGTERM)
    container.communicate()
    assert container.returncode == 0
    for pid in pids:
        wait_until(lambda pid=pid: not psutil.pid_exists(pid))


def test_a_program_waits_for_what_it_needs(tmp_path: Path) -> None:
    """The first one never becomes well, and ends: the second must not have been started."""
    container = served(tmp_path, "ill", "pass", "later", MARK.format(name="later"))
    container.communicate()
    assert container.returncode == 1
    assert not (tmp_path / "later").exists()


def test_the_home_has_its_own_private_copy_of_the_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, home = tmp_path / "given", Home(tmp_path / "home")
    (given / "connect").mkdir(parents=True)
    (given / "pgpass").write_text("db.example:6543:*:lake:pw\n", "utf-8")
    (given / "connect" / "postgres.properties").write_text("password=pw\n", "utf-8")
    (given / "pgpass").chmod(0o440)  # as Kubernetes mounts it
    monkeypatch.setenv("LAKE_SECRETS", str(given))
    monkeypatch.setenv("LAKE_HOME", str(home.home))
    make_home(home)
    make_home(home)  # a restarted container finds its home
    for path in (home.passfile, home.connect_secrets / "postgres.properties"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    settings = load_settings()
    assert (settings.postgres.host, settings.postgres.port) == ("db.example", 6543)
    assert settings.dagster_port == PORTS["dagster_port"]


def test_a_container_that_may_know_no_password_has_a_home_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_SECRETS", str(tmp_path / "nothing"))
    layout = Home(tmp_path / "home")
    make_home(layout)
    assert "postgres_host" not in json.loads(layout.stack_file.read_text("utf-8"))
    assert not layout.passfile.exists()


def test_a_passfile_for_any_host_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pgpass").write_text("*:*:*:lake:pw\n", "utf-8")
    monkeypatch.setenv("LAKE_SECRETS", str(tmp_path))
    with pytest.raises(SettingsError, match="HOST:PORT"):
        make_home(Home(tmp_path / "home"))


def test_passwords_are_made_once_and_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_KAFKA", "kafka:9092")
    layout = Home(tmp_path / "home")
    make_passwords(layout, "postgres", 5432)
    made, metabase = read_passwords(layout), (layout.secrets / "metabase").read_text("utf-8")
    key = (layout.secrets / "token_key").read_text("utf-8")
    assert len(bytes.fromhex(key)) == 32
    users = read_kafka_passwords(layout)
    make_passwords(layout, "postgres", 5432)
    assert read_passwords(layout) == made
    assert read_kafka_passwords(layout) == users
    assert set(users) == {"lake", "producer"}
    assert (layout.secrets / "metabase").read_text("utf-8") == metabase
    assert (layout.secrets / "token_key").read_text("utf-8") == key
    assert (layout.secrets / "postgres_admin").read_text("utf-8") == made["lake_admin"]
    assert (layout.secrets / "analyst").read_text("utf-8") == made["analyst"]
    for path in layout.secrets.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_password_of_a_broker_outside_the_containers_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Home(tmp_path / "home")
    make_passwords(layout, "postgres", 5432)
    assert not layout.kafka_users.exists()
    write_private(layout.kafka_password, "theirs")
    monkeypatch.setenv("LAKE_KAFKA", "broker:9092")
    make_passwords(layout, "postgres", 5432)
    assert layout.kafka_password.read_text("utf-8") == "theirs"
    assert not layout.kafka_users.exists()


def test_broker_of_a_container_has_no_passwords_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKE_KAFKA", "kafka:9092")
    Home(tmp_path).create()
    with pytest.raises(SettingsError, match=r"there is no file .*/kafka_users.properties: run `passwords`, and mount"):
        programs_of(["kafka"], load_settings(), Home(tmp_path))


def test_any_other_program_runs_with_the_lakes_home(tmp_path: Path) -> None:
    (tmp_path / "pgpass").write_text("db.example:6543:*:lake:pw\n", "utf-8")
    environment = {**os.environ, "LAKE_HOME": str(tmp_path / "home"), "LAKE_SECRETS": str(tmp_path)}
    script = "from lake_assets.settings import load_settings; print(load_settings().postgres.host)"
    command = [sys.executable, "-m", "lake_assets.stack.container", sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "db.example"


def test_an_unknown_part_and_an_unknown_word_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    layout = Home(tmp_path)
    layout.create()
    with pytest.raises(LakeError, match="no part nonsense"):
        programs_of(["webserver", "nonsense"], load_settings(), layout)
    with pytest.raises(LakeError, match="Usage: run PART"):
        main(["run"])
    with pytest.raises(LakeError, match="Usage: run PART"):
        main(["no-such-program"])


def test_the_worker_gets_its_login_with_a_reference_for_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "connect").mkdir()
    (tmp_path / "connect" / "kafka.properties").write_text("password=secret\n", "utf-8")
    variables = {"LAKE_HOME": str(tmp_path / "home"), "LAKE_SECRETS": str(tmp_path), "LAKE_KAFKA": "broker:9093"}
    access = {"LAKE_KAFKA_SECURITY": "sasl_ssl", "LAKE_KAFKA_USER": "lake", "LAKE_KAFKA_CA": "/ca.pem"}
    for name, value in {**variables, **access}.items():
        monkeypatch.setenv(name, value)
    layout = Home(tmp_path / "home")
    make_home(layout)
    programs_of(["connect"], load_settings(), layout)
    lines = (layout.run / "worker.properties").read_text("utf-8").splitlines()
    file = layout.connect_secrets / "kafka.properties"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for client in ("", "producer.", "consumer.", "admin."):
        assert f"{client}security.protocol=SASL_SSL" in lines
        assert f"{client}ssl.truststore.location=/ca.pem" in lines
        (login,) = [line for line in lines if line.startswith(f"{client}sasl.jaas.config=")]
        assert login.endswith(f'password="${{file:{file}:password}}";')
    assert not [line for line in lines if "secret" in line.replace(str(layout.secrets), "")]


def test_a_worker_with_tokens_may_reach_their_url_and_has_a_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "kafka_certificate").write_text("key and certificate", "utf-8")
    home, url = tmp_path / "home", "https://id.example/token"
    own = str(home / "secrets" / "kafka_certificate")
    access = {"LAKE_KAFKA_SECURITY": "sasl_ssl", "LAKE_KAFKA_USER": "lake", "LAKE_KAFKA_CERTIFICATE": own}
    tokens = {"LAKE_KAFKA_SASL_MECHANISM": "OAUTHBEARER", "LAKE_KAFKA_TOKEN_URL": url}
    variables = {"LAKE_HOME": str(home), "LAKE_SECRETS": str(given), "LAKE_KAFKA": "broker:9093"}
    for name, value in {**variables, **access, **tokens}.items():
        monkeypatch.setenv(name, value)
    layout = Home(home)
    make_home(layout)
    (program,) = programs_of(["connect"], load_settings(), layout)
    assert f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={url}" in program.command
    assert stat.S_IMODE(Path(own).stat().st_mode) == 0o600
    lines = (layout.run / "worker.properties").read_text("utf-8").splitlines()
    for client in ("", "producer.", "consumer.", "admin."):
        assert f"{client}ssl.keystore.location={own}" in lines


def test_the_worker_uses_the_protocol_of_the_lake_s_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, home = tmp_path / "given", tmp_path / "home"
    (given / "connect").mkdir(parents=True)
    for name, value in {"LAKE_HOME": str(home), "LAKE_SECRETS": str(given), "LAKE_KAFKA": "broker:9092"}.items():
        monkeypatch.setenv(name, value)
    layout = Home(home)

    def worker_lines() -> list[str]:
        make_home(layout)
        programs_of(["connect"], load_settings(), layout)
        return (layout.run / "worker.properties").read_text("utf-8").splitlines()

    monkeypatch.setenv("LAKE_CONNECT", "http://lake-connect:8083")
    assert "listeners=http://0.0.0.0:8083" in worker_lines()
    monkeypatch.setenv("LAKE_CONNECT", "https://lake-connect:8083")
    with pytest.raises(
        SettingsError, match=r"there is no file .*/connect/rest_certificate: write the private key and the"
    ):
        worker_lines()
    authority = Authority.make(tmp_path / "ca.pem")
    (given / "connect" / "rest_certificate").write_bytes(authority.issue("127.0.0.1"))
    lines = worker_lines()
    assert "listeners=https://0.0.0.0:8083" in lines
    assert f"rest.advertised.host.name={socket.getfqdn()}" in lines
    (password,) = [
        line.partition("=")[2] for line in lines if line.startswith("listeners.https.ssl.keystore.password=")
    ]
    keystore = layout.run / "rest.p12"
    assert stat.S_IMODE(keystore.stat().st_mode) == 0o600
    key, certificate, _ = load_key_and_certificates(keystore.read_bytes(), password.encode())
    assert key
    assert certificate
    assert certificate.issuer == authority.certificate.subject
    other = Authority.make(tmp_path / "other.pem").issue("127.0.0.1").partition(b"-----BEGIN CERT")[0]
    (given / "connect" / "rest_certificate").write_bytes(other + authority.ca.read_bytes())
    with pytest.raises(SettingsError, match=r"cannot be used for https: its first certificate is not that of its priv"):
        worker_lines()


def test_the_web_server_gets_the_address_of_the_code_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKE_CODE_HOST", "code.example")
    layout = Home(tmp_path)
    layout.create()
    programs_of(["webserver"], load_settings(), layout)
    (entry,) = json.loads((layout.dagster / "workspace.yaml").read_text("utf-8"))["load_from"]
    assert entry["grpc_server"]["host"] == "code.example"
    assert entry["grpc_server"]["port"] == PORTS["code_port"]
