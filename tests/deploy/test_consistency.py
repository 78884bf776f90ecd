"""Compose, Helm values and manifests have no setting that the code does not know."""

import re
import shutil
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from lake_assets.compile.grants import READER
from lake_assets.home import Home
from lake_assets.settings import PROJECT, RUNNERS, load_settings
from lake_assets.stack.container import EVERYWHERE, PORTS, REST_CERTIFICATE, SECRETS, programs_of
from lake_assets.stack.dagster import DEFINITIONS
from lake_assets.stack.stream import PART
from lake_assets.target_profiles import TARGETS
from tests.support.deploy_documents import DEPLOY, code_variables, compose, helm_values, instructions, manifests, pods

WORDS = ("passwords", "roles")
# No service of compose's needs them.
OF_ONES_OWN_KAFKA = {"kafka_certificate"}
# Read by the libraries of the clouds, to which the code leaves them.
CLOUDS_OWN = ("GOOGLE_CLOUD_PROJECT", "AWS_REGION")


def service(name: str) -> dict[str, Any]:
    return compose()["services"][name]


def ours() -> dict[str, dict[str, Any]]:
    """The services of our own images."""
    return {name: found for name, found in compose()["services"].items() if found["image"].startswith("lake-")}


def settings_map() -> dict[str, str]:
    return next(found["data"] for found in manifests() if found["kind"] == "ConfigMap")


def test_every_lake_variable_is_one_that_the_code_reads() -> None:
    names = [name for found in ours().values() for name in found.get("environment", {})]
    names += settings_map()
    names += [entry["name"] for pod in pods() for box in pod["containers"] for entry in box.get("env", [])]
    names += re.findall(r"LAKE_[A-Z_]+(?==)", " ".join(instructions("ENV")))
    lake = {name for name in names if name.startswith("LAKE_")}
    assert {"LAKE_KAFKA", "LAKE_SECRETS", "LAKE_POSTGRES_DSN"} <= lake
    assert lake <= code_variables()
    assert {name for name in settings_map() if not name.startswith("LAKE_")} <= set(CLOUDS_OWN)


def test_settings_have_values_that_the_code_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings_map().items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.target in TARGETS
    assert settings.spark.runner in RUNNERS
    assert settings.kafka == settings_map()["LAKE_KAFKA"]


def test_every_container_runs_what_the_entrypoint_knows(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LAKE_HOME", str(home))
    layout = Home(home)
    layout.create()
    commands = [found["command"] for found in ours().values()]
    commands += [box["args"] for pod in pods() for box in pod["containers"]]
    # The two that need jars on this machine; `run` prepares them from the same templates.
    java = {"kafka", "connect"}
    known = {program.name.partition("-")[0] for program in programs_of(DAGSTER, load_settings(), layout)} | java
    for command in commands:
        if command[0] == "run":
            assert set(command[1:]) <= known, command
        elif command[0] not in WORDS:
            assert shutil.which(command[0], path=str(Path(sys.executable).parent)), command


DAGSTER = ("dbt", "code", "daemon", "webserver", PART)


def test_programs_of_a_container_listen_where_others_reach_them(tmp_path_factory: pytest.TempPathFactory) -> None:
    layout = Home(tmp_path_factory.mktemp("home"))
    layout.create()
    by_name = {program.name: program.command for program in programs_of(DAGSTER, load_settings(), layout)}
    for name, port in (("code", PORTS["code_port"]), ("webserver", PORTS["dagster_port"])):
        command = by_name[name]
        assert command[command.index("-h") + 1] == EVERYWHERE
        assert command[command.index("-p") + 1] == str(port)


def test_ports_are_those_of_the_code_and_open_to_this_machine_only() -> None:
    published = {name: found["ports"] for name, found in compose()["services"].items() if "ports" in found}
    for name, ports in published.items():
        for port in ports:
            assert port.startswith("127.0.0.1:"), (name, port)
    inside = {name: int(ports[0].rpartition(":")[2]) for name, ports in published.items()}
    assert inside["kafka"] == PORTS["kafka_port"]
    assert inside["connect"] == PORTS["connect_port"]
    assert inside["webserver"] == PORTS["dagster_port"]
    environment = service("dagster")["environment"]
    assert environment["LAKE_KAFKA"] == f"kafka:{PORTS['kafka_port']}"
    assert environment["LAKE_CONNECT"] == f"http://connect:{PORTS['connect_port']}"
    assert environment["LAKE_CODE_HOST"] == "dagster"
    assert "dbt" in service("dagster")["command"]
    deployment = helm_values()["dagster-user-deployments"]["deployments"][0]
    assert deployment["port"] == PORTS["code_port"]
    assert deployment["dagsterApiGrpcArgs"] == ["-m", DEFINITIONS]


def test_long_running_services_restart_and_report_their_health() -> None:
    for name, found in compose()["services"].items():
        if found["restart"] == "no":
            assert found["healthcheck"]["disable"] is True, name
            continue
        assert found["restart"] == "unless-stopped", name
        checked = found.get("healthcheck", {}).get("test") or found["build"]["target"] in ("code", "stream", "connect")
        assert checked, name


def test_what_a_container_checks_is_what_it_runs() -> None:
    for name, found in ours().items():
        test = found.get("healthcheck", {}).get("test")
        if test:
            assert test[test.index("check") + 1 :] == found["command"][1:], name
    for stage_check, stage_run in zip(instructions("HEALTHCHECK"), instructions("CMD"), strict=True):
        assert stage_check.rpartition('"check", ')[2] == stage_run.rpartition('"run", ')[2]


def test_a_container_is_given_the_secrets_of_its_job_only() -> None:
    given = {
        name: {
            volume.split(":")[0].removeprefix("./secrets/")
            for volume in found.get("volumes", [])
            if "secrets" in volume
        }
        for name, found in compose()["services"].items()
    }
    assert given.pop("passwords") == {"./secrets"}
    assert {name: secrets for name, secrets in given.items() if secrets} == {
        "kafka": {"kafka_users.properties", "kafka_password"},
        "connect": {"connect", "connect_password"},
        "stream": {"kafka_password"},
        "postgres": {"postgres_admin"},
        "metabase": {"metabase"},
        "bi": {"metabase_key"},
        "roles": {"pgpass", "metabase"},
        "webserver": {"pgpass"},
        **{name: {"pgpass", "token_key", "connect_password", "kafka_password"} for name in ("dagster", "lake")},
    }
    assert {str(path.parts[0]) for path in SECRETS} - OF_ONES_OWN_KAFKA == {
        "pgpass",
        "connect",
        "connect_password",
        "kafka_password",
        "kafka_users.properties",
        "metabase",
        "metabase_key",
        "token_key",
    }


def test_named_volumes_and_anchors_are_all_used() -> None:
    used = {
        volume.split(":")[0]
        for found in compose()["services"].values()
        for volume in found.get("volumes", [])
        if not volume.startswith((".", "/"))
    }
    assert used == set(compose()["volumes"])


def test_no_secret_is_written_down() -> None:
    written = re.compile(r"""(password|secret|token)\w*\s*[:=]\s*["']?(?!/)[a-z0-9+/_]{12,}["']?$""", re.I | re.M)
    assert written.search("POSTGRES_PASSWORD: abcdefghijkl")
    for path in sorted(DEPLOY.rglob("*")):
        if path.is_file() and path.relative_to(DEPLOY).parts[0] != "secrets":
            assert not written.search(path.read_text("utf-8")), path


def test_the_chart_is_the_locked_dagsters_and_its_secrets_are_references() -> None:
    text = (DEPLOY / "helm" / "values.yaml").read_text("utf-8")
    lock = (DEPLOY.parent / "uv.lock").read_text("utf-8")
    version = re.search(r'name = "dagster"\nversion = "(.+)"', lock)
    assert version
    assert f"--version {version[1]} " in text
    values = helm_values()
    assert values["generatePostgresqlPasswordSecret"] is False
    assert values["global"]["postgresqlSecretName"]
    # Else code server and runs would have an account of the subchart's, to which the cloud gives nothing.
    assert values["global"]["serviceAccountName"] == "lake-orchestrator"
    assert "postgresqlPassword" not in values["postgresql"]
    assert values["postgresql"]["enabled"] is False


def test_pods_are_not_root_and_mount_what_they_name() -> None:
    specs = [*pods(), helm_pod()]
    assert len(specs) > 3
    for pod in specs:
        assert pod["securityContext"]["runAsNonRoot"] is True
        volumes = {volume["name"] for volume in pod["volumes"]}
        for box in pod["containers"]:
            assert box["securityContext"]["allowPrivilegeEscalation"] is False
            assert {mount["name"] for mount in box["volumeMounts"]} == volumes
            mounts = {mount["mountPath"] for mount in box["volumeMounts"]}
            assert "/lake" in mounts
            assert "secrets" not in volumes or settings_map()["LAKE_SECRETS"] in mounts


def test_files_that_settings_name_are_mounted_in_every_pod() -> None:
    named = {Path(value) for name, value in settings_map().items() if name.endswith("_CA")}
    assert named
    for pod in [*pods(), helm_pod()]:
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for box in pod["containers"]:
            mounted = {Path(mount["mountPath"]): volumes[mount["name"]] for mount in box["volumeMounts"]}
            for file in named:
                assert mounted[file.parent]["configMap"]["name"] == "lake-authority", (file, box)
    page = (DEPLOY.parent / "docs" / "deploy.md").read_text("utf-8")
    assert all(f"create configmap lake-authority --from-file=home/{file.name}" in page for file in named)


def test_the_workers_certificate_has_the_names_by_which_they_are_asked() -> None:
    (worker,) = [
        found["spec"]
        for found in manifests()
        if found["kind"] == "StatefulSet" and found["metadata"]["name"] == "lake-connect"
    ]
    page = (DEPLOY.parent / "docs" / "deploy.md").read_text("utf-8")
    listed = re.search(r"subjectAltName=(\S+?)\"", page)
    assert listed
    names = listed[1].split(",")
    service = urlsplit(settings_map()["LAKE_CONNECT"])
    assert (service.scheme, service.port) == ("https", PORTS["connect_port"])
    (box,) = worker["template"]["spec"]["containers"]
    probe = box["readinessProbe"]["httpGet"]
    assert probe["scheme"] == "HTTPS"
    assert probe["httpHeaders"] == [{"name": "Host", "value": service.hostname}]
    assert f"DNS:{service.hostname}" in names
    assert f"DNS:*.{worker['serviceName']}.default.svc.cluster.local" in names
    (secrets,) = [volume for volume in worker["template"]["spec"]["volumes"] if volume["name"] == "secrets"]
    assert {item["path"] for item in secrets["secret"]["items"]} <= {str(path) for path in SECRETS}
    assert str(REST_CERTIFICATE) in {item["path"] for item in secrets["secret"]["items"]}


def helm_pod() -> dict[str, Any]:
    """The chart's user deployment in the shape of a pod."""
    deployment = helm_values()["dagster-user-deployments"]["deployments"][0]
    return {
        "securityContext": deployment["podSecurityContext"],
        "volumes": deployment["volumes"],
        "containers": [{key: deployment[key] for key in ("securityContext", "volumeMounts")}],
    }


def test_selectors_find_their_own_pods() -> None:
    labels = [
        found["spec"]["template"]["metadata"]["labels"]
        for found in manifests()
        if found["kind"].endswith(("ment", "Set"))
    ]
    for found in manifests():
        if found["kind"] == "Service":
            assert found["spec"]["selector"] in labels


def test_people_read_marts_as_the_analyst() -> None:
    page = (DEPLOY.parent / "docs" / "deploy.md").read_text("utf-8")
    assert f"| user name | `{READER}` |" in page


def test_who_asks_marts_reaches_postgres_and_no_other_part() -> None:
    services = compose()["services"]
    people = {name for name, found in services.items() if "people" in found.get("networks", [])}
    assert people == {"postgres", "metabase", "bi"}
    assert service("metabase")["networks"] == ["people"]
    for name, found in services.items():
        assert found.get("network_mode") == "none" or found["networks"], f"{name} is in the default network"


def test_containers_have_limits_and_a_read_only_root() -> None:
    for name, found in compose()["services"].items():
        assert found["mem_limit"], name
        assert found["pids_limit"], name
        assert "no-new-privileges:true" in found["security_opt"], name
        assert found.get("read_only") is True or name == "metabase", name
        writable = {path.partition(":")[0] for path in found.get("tmpfs", [])}
        writable |= {volume.partition(":")[0] for volume in found.get("volumes", []) if volume.startswith("/")}
        assert name == "metabase" or "/tmp" in writable, name
        assert name not in ours() or "/lake" in writable, name
    for pod in [*pods(), helm_pod()]:
        for box in pod["containers"]:
            assert box["securityContext"]["readOnlyRootFilesystem"] is True
            assert "/tmp" in {mount["mountPath"] for mount in box["volumeMounts"]}
    deployed = helm_values()["dagster-user-deployments"]["deployments"]
    for box in [*(box for pod in pods() for box in pod["containers"]), *deployed]:
        assert box["resources"]["limits"]["memory"]


def test_pods_that_ask_kubernetes_nothing_have_no_token_for_it() -> None:
    assert pods()
    assert all(pod["automountServiceAccountToken"] is False for pod in pods())


def test_every_listening_pod_has_a_network_policy() -> None:
    policies = [found["spec"] for found in manifests() if found["kind"] == "NetworkPolicy"]
    selected = [tuple(policy["podSelector"]["matchLabels"].items()) for policy in policies]
    sets = [found for found in manifests() if found["kind"] in ("StatefulSet", "Deployment")]
    for found in sets:
        assert tuple(found["spec"]["selector"]["matchLabels"].items()) in selected, found["metadata"]["name"]
    assert (("component", "user-deployments"),) in selected
    assert (("component", "dagster-webserver"),) in selected
    for policy in policies:
        assert policy["policyTypes"] == ["Ingress"]
        assert all(rule["from"] and rule["ports"] for rule in policy["ingress"])
    page = (DEPLOY.parent / "docs" / "deploy.md").read_text("utf-8")
    assert "-f deploy/kubernetes/network.yaml" in page


def test_the_web_ui_that_people_see_launches_nothing() -> None:
    environment = service("webserver")["environment"]
    assert environment["LAKE_DAGSTER_READ_ONLY"] == "${LAKE_DAGSTER_READ_ONLY:-on}"
    assert helm_values()["dagsterWebserver"]["enableReadOnly"] is True


def test_versions_of_images_are_in_one_place() -> None:
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    assert len(compose()["x-images"]) == 2
    for image in compose()["x-images"].values():
        others = [path for path in DEPLOY.rglob("*") if path.is_file() and path.name != "compose.yaml"]
        assert text.count(image) == 1
        assert not [path for path in others if image in path.read_text("utf-8")], image


def test_no_document_puts_a_secret_on_a_command_line() -> None:
    for path in (DEPLOY.parent / "docs").glob("*.md"):
        for block in re.findall(r"^```.*?\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL):
            commands = "\n".join(line.partition("#")[0] for line in block.splitlines())
            assert not re.search(r"(?<![-\w])password=|--from-literal|-p\s*['\"]?\$\(cat", commands), (path.name, block)


def test_ticks_expire_in_a_cluster_as_on_one_machine() -> None:
    """Regression: a sensor's 17,280 ticks a day stayed in Postgres for ever."""
    found = helm_values()["retention"]
    assert found["enabled"] is True
    text = (PROJECT / "lake_assets" / "stack" / "dagster.py").read_text("utf-8")
    local = re.search(r"^retention:\n(?: .*\n)+", text, re.MULTILINE)
    assert local
    expected = yaml.safe_load(local[0].replace("{{", "{").replace("}}", "}"))["retention"]
    for ours_name, theirs in (("schedule", "schedule"), ("sensor", "sensor"), ("autoMaterialize", "auto_materialize")):
        assert found[ours_name]["purgeAfterDays"] == expected[theirs]["purge_after_days"]
