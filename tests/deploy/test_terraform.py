"""The clouds' files parse, give no more than is needed, and give the lake its own settings."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from lake_assets.aws import client
from lake_assets.catalog.model import CLASSIFICATIONS
from lake_assets.compile.lake_formation import CLASSIFICATION, LAYER, layer_tag
from lake_assets.compile.permissions import AWS, GCP, ROLES, Role
from lake_assets.settings import DATAPROC_RUNTIME, PROJECT, RUNNERS
from lake_assets.target_profiles import TARGETS
from tests.support.deploy_documents import CLOUDS, athena_workgroups, blocks, code_variables, google_permissions, texts

BY_TAGS = ("tags", "lent")
# Of these IAM's reference names no resource types.
LISTS = {"athena:ListDataCatalogs", "athena:ListWorkGroups"}
# Asked for by no call of an API: by engines that read files, and by drivers that stream results.
ASKED_BY_NO_CALL = {"lakeformation:GetDataAccess", "athena:GetQueryResultsStream"}
LAKE = PROJECT / "lake_assets"
DELETING = ("glue:DeleteDatabase", "s3:DeleteBucket")


@pytest.fixture(autouse=True)
def somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of AWS are made, and asked only what they know by themselves."""
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


def statements(role: str) -> Iterator[dict[str, Any]]:
    """The statements of a role's policy on AWS."""
    ((_, body),) = [found for found in blocks("aws") if found[0] == ("data", "aws_iam_policy_document", role)]
    yield from body["statement"]
    for dynamic in body.get("dynamic", []):
        for part in dynamic.values():
            if isinstance(part, dict):
                yield from part["content"]


def actions(role: str) -> set[str]:
    return {action for statement in statements(role) for action in texts(statement["actions"])}


def called() -> set[str]:
    """The IAM actions of the calls that the AWS adapters make by boto3, except those of EMR's clusters."""
    sources = {
        "glue": (
            "warehouse/aws/glue.py",
            "warehouse/aws/athena.py",
            "warehouse/aws/glue_marts.py",
            "landing/raw_catalog.py",
        ),
        "athena": ("warehouse/aws/athena_query.py",),
        "lakeformation": ("warehouse/aws/lake_formation.py",),
        "emr-serverless": ("conform/runners/emr_serverless.py",),
        "iam": ("warehouse/aws/permissions.py",),
    }
    made = {
        name for file in LAKE.rglob("*.py") for name in re.findall(r"\bclient\(\"([a-z-]+)\"", file.read_text("utf-8"))
    }
    assert made == {*sources, "emr", "sts"}  # everybody may ask STS who they are
    found: set[str] = set()
    for service, files in sources.items():
        operations = client(service).meta.method_to_api_mapping
        for file in files:
            text = (LAKE / file).read_text("utf-8")
            names = re.findall(r"\.([a-z_]+)\(", text) + re.findall(r'get_paginator\("([a-z_]+)"\)', text)
            found |= {f"{service}:{operations[name]}" for name in names if name in operations}
    return found


@pytest.mark.parametrize("cloud", CLOUDS)
def test_variables_and_outputs_are_described_and_used(cloud: str) -> None:
    text = str(blocks(cloud))
    for (kind, *labels), body in blocks(cloud):
        if kind in ("variable", "output"):
            assert body["description"].strip('"').endswith("."), labels
        if kind == "variable":
            assert f"var.{labels[0]}" in text, labels


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_is_named_is_declared(cloud: str) -> None:
    declared = {".".join(labels[1:]) for labels, _ in blocks(cloud) if labels[0] == "resource"}
    declared |= {".".join(labels) for labels, _ in blocks(cloud) if labels[0] == "data"}
    named = {
        match
        for _, body in blocks(cloud)
        for text in texts(body)
        for match in re.findall(r"\b(?:data\.)?(?:aws|google)_[a-z0-9_]+\.[a-z_]+", text)
    }
    assert named
    assert named <= declared


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_environment_is_the_lakes_own(cloud: str) -> None:
    ((_, body),) = [found for found in blocks(cloud) if found[0] == ("output", "environment")]
    text = str(body["value"])
    names = set(re.findall(r"\b((?:LAKE|AWS|GOOGLE)_[A-Z_]+)\b", text))
    assert {name for name in names if name.startswith("LAKE_")} <= code_variables() | cluster_variables()
    assert {"LAKE_TARGET", "LAKE_BUCKET"} <= names
    assert cloud in TARGETS
    runner = re.search(r"LAKE_SPARK_RUNNER\W+([a-z-]+)", text)
    assert runner
    assert runner[1] in RUNNERS


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_spark_runner_is_named_with_all_that_it_requires(cloud: str) -> None:
    """Otherwise the first window above the threshold fails."""
    ((_, body),) = [found for found in blocks(cloud) if found[0] == ("output", "environment")]
    (part,) = re.findall(r"spark_environment == .*? : \{(.*?)\}", str(body["value"]))
    wanted = {
        "aws": {"LAKE_SPARK_ENVIRONMENT", "LAKE_EMR_APPLICATION", "LAKE_EMR_ROLE"},
        "gcp": {"LAKE_SPARK_ENVIRONMENT", *(f"LAKE_DATAPROC_{n}" for n in ("PROJECT", "REGION", "ACCOUNT", "STAGING"))},
    }
    assert set(re.findall(r"LAKE_[A-Z_]+", part)) >= {"LAKE_SPARK_RUNNER", *wanted[cloud]}
    if cloud == "gcp":
        assert re.search(rf'LAKE_DATAPROC_VERSION\W+"{re.escape(DATAPROC_RUNTIME)}"', part)


def cluster_variables() -> set[str]:
    """Some of the runners' variables are put together from a prefix."""
    text = (PROJECT / "docs" / "spark.md").read_text("utf-8")
    return set(re.findall(r"LAKE_(?:EMR|DATAPROC)_[A-Z_]+", text))


@pytest.mark.parametrize("role", ROLES)
def test_no_policy_allows_every_action_or_every_resource(role: str) -> None:
    for statement in statements(role):
        for action in texts(statement["actions"]):
            assert "*" not in action, action
        for resource in texts(statement["resources"]):
            assert resource != "*", statement["sid"]
    assert not actions(role) & set(DELETING)


@pytest.mark.parametrize("role", ROLES)
def test_what_lake_plan_asks_for_is_what_terraform_gives_on_aws(role: Role) -> None:
    by_tags = {"orchestrator": actions("tags"), "analyst": actions("lent")}.get(role, set())
    given = actions(role) | by_tags | (actions("lists") if role == "analyst" else set())
    assert {action for need in AWS[role] for action in need.actions} == given
    assert {action for need in AWS[role] if need.condition == "lake_formation" for action in need.actions} == by_tags


@pytest.mark.parametrize("role", ROLES)
def test_what_lake_plan_asks_for_is_what_terraform_gives_on_gcp(role: Role) -> None:
    given = google_permissions()[role]
    needs = {on: {action for need in GCP[role] if need.on == on for action in need.actions} for on in given}
    assert needs == given


def test_only_lake_formation_which_knows_no_resources_is_given_all_of_them() -> None:
    for role in BY_TAGS:
        assert all(action.startswith("lakeformation:") for action in actions(role))
    assert actions("lent") == {"lakeformation:GetDataAccess"}


def test_analysts_list_catalogs_and_workgroups_without_other_rights() -> None:
    assert actions("lists") == LISTS


def test_each_group_of_analysts_has_results_of_its_own() -> None:
    groups = athena_workgroups("lake")
    assert groups["analyst"]["ResultConfiguration"]["OutputLocation"] == "s3://lake/athena/analyst/"
    ((_, group),) = [found for found in blocks("aws") if found[0] == ("resource", "aws_athena_workgroup", "analyst")]
    assert group["for_each"] == "${var.analysts}"
    named = [text for statement in statements("analyst") for text in texts(statement["resources"])]
    results = [text for text in named if "/athena/" in text]
    assert results == ["${aws_s3_bucket.lake.arn}/athena/${each.value}/*"]
    assert "${aws_athena_workgroup.analyst[each.value].arn}" in named


@pytest.mark.parametrize("role", ["orchestrator", "analyst"])
def test_roles_that_query_athena_may_read_the_database_default(role: str) -> None:
    assert any(
        "glue:GetDatabase" in texts(statement["actions"])
        and any(text.endswith(":database/default") for text in texts(statement["resources"]))
        for statement in statements(role)
    )


def test_actions_exist() -> None:
    for service in ("glue", "athena", "emr-serverless", "lakeformation"):
        operations = client(service).meta.service_model.operation_names
        for role in (*ROLES, *BY_TAGS, "lists"):
            for action in actions(role) - ASKED_BY_NO_CALL:
                assert not action.startswith(f"{service}:") or action.partition(":")[2] in operations, action


def test_the_orchestrator_may_do_what_the_code_calls() -> None:
    assert len(called()) > 12
    assert called() <= actions("orchestrator") | actions("tags")


def test_the_worker_reaches_raw_only() -> None:
    named = [text for statement in statements("connect") for text in texts(statement["resources"])]
    assert named
    for text in named:
        assert "/raw/" in text or "glue_raw" in text, text


def test_an_analyst_has_nothing_on_staging_on_aws() -> None:
    for statement in statements("analyst"):
        named = " ".join(texts(statement["resources"]))
        assert not re.search(r"staging|glue_raw|/raw|/conformed|arn\}/\*", named), named
    writes = {action for action in actions("analyst") if not re.match(r"\w+:(Get|List|BatchGet|Start|Stop)", action)}
    assert writes == {"s3:PutObject", "s3:AbortMultipartUpload"}
    ((_, group),) = [found for found in blocks("aws") if found[0] == ("resource", "aws_athena_workgroup", "analyst")]
    assert group["configuration"][0]["bytes_scanned_cutoff_per_query"] == "${var.analyst_scan_limit}"
    assert group["configuration"][0]["enforce_workgroup_configuration"] is True


def test_with_lake_formation_an_analyst_reads_no_file_of_a_mart_by_iam() -> None:
    ((_, body),) = [found for found in blocks("aws") if found[0] == ("data", "aws_iam_policy_document", "analyst")]
    readable = [text for statement in body["statement"] for text in texts(statement["resources"])]
    assert not [text for text in readable if "marts/" in text]
    (dynamic,) = body["dynamic"]
    (files,) = (part for part in dynamic.values() if isinstance(part, dict))
    assert files["for_each"].replace(" ", "") == '${var.lake_formation?[]:["marts"]}'
    assert {need.condition for need in AWS["analyst"] if need.on.endswith("/marts/*")} == {"iam_marts"}
    opted = {
        labels[2]: body for labels, body in blocks("aws") if labels[:2] == ("resource", "aws_lakeformation_opt_in")
    }
    assert {next(iter(body["resource_data"][0])) for body in opted.values()} == {"database", "table"}
    for opt_in in opted.values():
        assert opt_in["for_each"] == "${local.formation_reads}"
        assert "aws_iam_role.analyst[" in opt_in["principal"][0]["data_lake_principal_identifier"]


def lent(role: str, kind: str) -> set[tuple[str, bool]]:
    """The rights in Lake Formation on a kind of resource, and whether the role may grant them on."""
    found: set[tuple[str, bool]] = set()
    for labels, body in blocks("aws"):
        if (
            labels[1:2] == ("aws_lakeformation_permissions",)
            and kind in body
            and f"role.{role}.arn" in body["principal"]
        ):
            grantable = set(texts(body.get("permissions_with_grant_option", [])))
            found |= {(name, name in grantable) for name in texts(body["permissions"])}
    return found


def test_lake_formation_gives_roles_what_their_calls_need_and_no_more() -> None:
    # To assign a tag takes ASSOCIATE on it, and ALL with the grant option on the database or table.
    for kind in ("database", "table"):
        assert ("ALL", True) in lent("orchestrator", kind)
    assert {name for name, _ in lent("orchestrator", "lf_tag")} == {
        "ASSOCIATE",
        "DESCRIBE",
        "GRANT_WITH_LF_TAG_EXPRESSION",
    }
    assert lent("orchestrator", "data_location") == {("DATA_LOCATION_ACCESS", False)}
    assert {name for name, _ in lent("connect", "table")} >= {"ALTER", "DESCRIBE"}
    assert not lent("analyst", "table")
    assert not [labels for labels, _ in blocks("aws") if "aws_lakeformation_data_lake_settings" in labels]
    ((_, resource),) = [found for found in blocks("aws") if found[0][1:2] == ("aws_lakeformation_resource",)]
    assert resource["hybrid_access_enabled"] is True
    assert resource["arn"].strip('"').endswith("/marts")


def test_tags_of_lake_formation_are_those_of_the_code() -> None:
    tags = {
        body["key"].strip('"'): sorted(texts(body["values"]))
        for labels, body in blocks("aws")
        if labels[:2] == ("resource", "aws_lakeformation_lf_tag")
    }
    assert tags == {LAYER: sorted(layer_tag()["TagValues"]), CLASSIFICATION: sorted(CLASSIFICATIONS)}


def test_an_analyst_has_nothing_on_staging_on_gcp() -> None:
    resources = [(labels, body) for labels, body in blocks("gcp") if labels[0] == "resource"]
    holders = [labels for labels, body in resources if any("var.analysts" in text for text in texts(body))]
    assert sorted(holders) == [
        ("resource", "google_bigquery_dataset", "mart"),
        ("resource", "google_project_iam_member", "analyst"),
    ]
    roles = {
        labels[-1]: body
        for labels, body in blocks("gcp")
        if labels[:2] == ("resource", "google_project_iam_custom_role")
    }
    assert set(texts(roles["analyst"]["permissions"])) == {"bigquery.jobs.create"}


def test_conditions_on_gcp_let_an_account_list_what_it_may_read() -> None:
    """Listing is checked on the bucket: a condition on names of objects alone is never met."""
    ((_, local),) = [found for found in blocks("gcp") if found[0] == ("locals",) and "below" in found[1]]
    assert "objects/${folder}/" in local["below"]
    assert 'objectListPrefix\\", \\"\\").startsWith(\\"${folder}/' in local["below"]
    named = {
        name: re.findall(r'local\.below\["(\w+)"\]', body["condition"][0]["expression"])
        for name, body in of_gcp("google_storage_bucket_iam_member").items()
        if "condition" in body
    }
    assert named == {
        "connect_files": ["raw"],
        "spark_reads": ["raw"],
        "spark_writes": ["conformed", "jobs"],
        "function_files": ["conformed"],
        "function_reads": ["publications"],
    }


def test_no_account_on_gcp_has_a_role_for_the_whole_project() -> None:
    given = [
        (labels, body["role"].strip('"'))
        for labels, body in blocks("gcp")
        if labels[0] == "resource" and labels[1].endswith("_iam_member")
    ]
    assert len(given) > 5
    for labels, role in given:
        if labels[1].startswith("google_project"):
            assert role.startswith("${google_project_iam_custom_role."), (labels, role)
    for labels, body in blocks("gcp"):
        if "google_project_iam_custom_role" in labels:
            assert not [text for text in texts(body["permissions"]) if "*" in text or "setIamPolicy" in text]


def of_gcp(kind: str) -> dict[str, dict[str, Any]]:
    return {labels[2]: body for labels, body in blocks("gcp") if labels[:2] == ("resource", kind)}


@pytest.mark.parametrize(
    ("kind", "api"),
    [
        ("google_service_account", "iam"),
        ("google_project_iam_custom_role", "iam"),
        ("google_bigquery_dataset", "bigquery"),
        ("google_storage_bucket", "storage"),
        ("google_cloud_run_v2_service", "run"),
    ],
)
def test_apis_are_enabled_before_the_first_resource_needs_them(kind: str, api: str) -> None:
    ((_, body),) = [found for found in blocks("gcp") if found[0] == ("locals",) and "services" in found[1]]
    assert f"{api}.googleapis.com" in body["services"]
    assert of_gcp("google_project_service")["apis"]["for_each"] == "${local.services}"
    assert of_gcp(kind)
    for name, resource in of_gcp(kind).items():
        assert "google_project_service.apis" in str(resource.get("depends_on")), name


def test_the_trigger_comes_after_the_rights_that_it_needs() -> None:
    trigger = of_gcp("google_eventarc_trigger")["load"]
    for needed in ("google_project_iam_member.bucket_notifications", "google_project_iam_member.function_events"):
        assert needed in str(trigger["depends_on"])
    assert "time_sleep.eventarc" in str(trigger["depends_on"])


def test_no_two_resources_decide_who_reads_a_dataset() -> None:
    """The provider: an access list and members of the dataset's roles undo each other at each apply."""
    kinds = {labels[1] for labels, _ in blocks("gcp") if labels[0] == "resource"}
    assert not [kind for kind in kinds if kind.startswith("google_bigquery_dataset_")]
    staging, mart = (of_gcp("google_bigquery_dataset")[name] for name in ("staging", "mart"))
    (function,) = (part for part in staging["dynamic"][0].values() if isinstance(part, dict))
    assert function["content"][0]["role"] == '"WRITER"'
    assert "google_service_account.function.email" in function["for_each"]
    # `lake apply` adds readers of marts.
    assert "access" in str(mart["lifecycle"][0]["ignore_changes"])


def test_nothing_but_temporary_files_expires() -> None:
    prefixes: set[str] = set()
    for cloud, kind in (("aws", "aws_s3_bucket_lifecycle_configuration"), ("gcp", "google_storage_bucket")):
        ((_, body),) = [found for found in blocks(cloud) if found[0] == ("resource", kind, "lake")]
        dynamic = [part["content"][0] for one in body.get("dynamic", []) for part in one.values() if "content" in part]
        for rule in body.get("rule", []) + dynamic + body.get("lifecycle_rule", []):
            text = str(rule)
            deletes = "expiration" in rule or "'\"Delete\"'" in text
            found = [text for text in texts(rule) if text.endswith("/")]
            assert bool(found) == deletes, rule
            prefixes |= set(found)
    assert prefixes == {"athena/results/", "athena/${rule.value}/", "jobs/logs/"}


def test_results_of_each_workgroup_expire_and_dbt_places_marts() -> None:
    groups = athena_workgroups("lake")
    assert [groups[name]["ResultConfiguration"]["OutputLocation"] for name in ("lake", "analyst")] == [
        "s3://lake/athena/results/",
        "s3://lake/athena/analyst/",
    ]
    assert groups["lake"]["EnforceWorkGroupConfiguration"] is False


def test_buckets_are_private_and_keep_no_versions() -> None:
    by_kind = {
        (labels[1], labels[2]): body for labels, body in blocks("aws") + blocks("gcp") if labels[0] == "resource"
    }
    closed = by_kind["aws_s3_bucket_public_access_block", "lake"]
    assert all(closed[key] is True for key in closed if key.startswith(("block", "ignore", "restrict")))
    versions = by_kind["aws_s3_bucket_versioning", "lake"]["versioning_configuration"][0]["status"]
    assert versions == '"Disabled"'
    for name in ("lake", "spark_staging"):
        bucket = by_kind["google_storage_bucket", name]
        assert bucket["uniform_bucket_level_access"] is True
        assert bucket["public_access_prevention"] == '"enforced"'
    assert by_kind["google_storage_bucket", "lake"]["versioning"][0]["enabled"] is False


def test_google_keeps_no_deleted_files_of_windows() -> None:
    """Regression: each commit replaces the files of its windows, and Google charged a week for each of them."""
    ((_, bucket),) = [found for found in blocks("gcp") if found[0] == ("resource", "google_storage_bucket", "lake")]
    [policy] = bucket["soft_delete_policy"]
    assert policy["retention_duration_seconds"] == 0


def test_the_load_function_has_bounds() -> None:
    """Regression: 80 requests shared 512 MiB, and a load of more than ten minutes was delivered again."""
    ((_, service),) = [found for found in blocks("gcp") if found[0][:2] == ("resource", "google_cloud_run_v2_service")]
    [template] = service["template"]
    assert template["timeout"].strip('"') == "600s"
    assert template["max_instance_request_concurrency"] * 256 <= 2048
    [container] = template["containers"]
    assert container["resources"][0]["limits"]["memory"].strip('"') == "2Gi"
    assert template["scaling"][0]["max_instance_count"] == 10


def test_the_bucket_on_aws_refuses_requests_without_tls() -> None:
    [statement] = statements("only_tls")
    [condition] = statement["condition"]
    found = (statement["effect"], condition["variable"], *condition["values"])
    assert [text.strip('"') for text in found] == ["Deny", "aws:SecureTransport", "false"]
    assert any(found[0][:2] == ("resource", "aws_s3_bucket_policy") for found in blocks("aws"))
