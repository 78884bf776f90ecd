"""Files of `deploy/`, read once and in the shapes that the tests need."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hcl2
import yaml

PROJECT = Path(__file__).resolve().parent.parent.parent
DEPLOY = PROJECT / "deploy"
CONTAINERFILE = DEPLOY / "containers" / "Containerfile"
CLOUDS = ("aws", "gcp")
# Of resources on Google Cloud that have permissions of their own.
KINDS = ("bucket", "staging_bucket", "project", "taxonomy", "policy_tag")


@cache
def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


@cache
def helm_values() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text("utf-8"))


@cache
def manifests() -> list[dict[str, Any]]:
    """Every Kubernetes object, of all files."""
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return [found for file in files for found in yaml.safe_load_all(file.read_text("utf-8"))]


def pods() -> list[dict[str, Any]]:
    """The pod specification of each object that has one."""
    return [found["spec"]["template"]["spec"] for found in manifests() if "template" in found.get("spec", {})]


@cache
def blocks(cloud: str) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """All blocks of a cloud's files: their kind and labels, such as `resource aws_s3_bucket lake`, and their body."""
    found: list[tuple[tuple[str, ...], dict[str, Any]]] = []
    for file in sorted((DEPLOY / "terraform" / cloud).glob("*.tf")):
        with file.open(encoding="utf-8") as text:
            for kind, entries in hcl2.load(text).items():
                for entry in entries if isinstance(entries, list) else ():
                    found.append(_labelled((kind,), entry))
    return found


def _labelled(labels: tuple[str, ...], body: dict[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """hcl2 nests labels as keys in quotes; the body comes after the last."""
    while len(body) == 1 and (key := next(iter(body))).startswith('"'):
        labels, body = (*labels, key.strip('"')), body[key]
    return labels, body


def athena_workgroups(bucket: str) -> dict[str, dict[str, Any]]:
    """The workgroups that are provisioned on AWS with this bucket, as GetWorkGroup describes their configuration."""
    found: dict[str, dict[str, Any]] = {}
    for labels, body in blocks("aws"):
        if labels[:2] == ("resource", "aws_athena_workgroup"):
            (configuration,) = body["configuration"]
            (result,) = configuration["result_configuration"]
            location = result["output_location"].strip('"').replace("${aws_s3_bucket.lake.id}", bucket)
            for each in _each(body):
                found[body["name"].strip('"').replace("${each.value}", each)] = {
                    "EnforceWorkGroupConfiguration": configuration["enforce_workgroup_configuration"],
                    "ResultConfiguration": {"OutputLocation": location.replace("${each.value}", each)},
                }
    return found


def _each(body: dict[str, Any]) -> list[str]:
    """The values of `for_each`, those of the variable's default; one empty text without it."""
    if "for_each" not in body:
        return [""]
    name = re.fullmatch(r"\$\{var\.(\w+)\}", body["for_each"])
    assert name
    ((_, variable),) = [found for found in blocks("aws") if found[0] == ("variable", name[1])]
    return list(texts(variable["default"]))


@cache
def google_permissions() -> dict[str, dict[str, frozenset[str]]]:
    """Permissions of each account of `deploy/terraform/gcp` (`analyst` is the group), by kind of resource.

    Only roles of the lake's own are counted and Google's for readers of policy tags. Conditions are not read.
    """
    resources = [(labels, body) for labels, body in blocks("gcp") if labels[0] == "resource"]
    roles = {
        labels[2]: frozenset(texts(body["permissions"]))
        for labels, body in resources
        if labels[1] == "google_project_iam_custom_role"
    }
    given: dict[str, dict[str, frozenset[str]]] = {}
    for labels, body in resources:
        role = re.search(r"google_project_iam_custom_role\.(\w+)\.name", body.get("role", ""))
        who = re.search(r"google_service_account\.(\w+)\.member", body.get("member", ""))
        if role:
            account = who[1] if who else "analyst" if "var.analysts" in body["member"] else body["member"]
            kind = next((kind for kind in ("bucket", "taxonomy") if f"_{kind}_" in labels[1]), "project")
            if "google_storage_bucket.spark_staging" in body.get("bucket", ""):
                kind = "staging_bucket"
            given.setdefault(account, dict.fromkeys(KINDS, frozenset()))[kind] |= roles[role[1]]
        elif labels[1] == "google_data_catalog_policy_tag_iam_member" and who:
            assert "roles/datacatalog.categoryFineGrainedReader" in body["role"]
            given[who[1]]["policy_tag"] = frozenset({"datacatalog.categories.fineGrainedGet"})
    return given


def texts(value: Any) -> Iterator[str]:
    """Every string in a nested value, without HCL's quotes."""
    if isinstance(value, str):
        yield value.strip('"')
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)


@cache
def code_variables() -> frozenset[str]:
    """The LAKE_ variables that the code names."""
    files = [*(PROJECT / "lake_assets").rglob("*.py"), *(PROJECT / "stream_app").rglob("*.py")]
    return frozenset(name for file in files for name in re.findall(r'"(LAKE_[A-Z_]+)"', file.read_text("utf-8")))


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of that name in the container file, lines joined."""
    text = CONTAINERFILE.read_text("utf-8").replace("\\\n", " ")
    return [line.removeprefix(f"{name} ") for line in text.splitlines() if line.startswith(f"{name} ")]
