"""`lake plan` names the actions that the credentials at hand lack, before anything fails for want of them."""

import json
from collections.abc import Generator
from pathlib import Path

import pytest
from click.testing import CliRunner

from lake_assets.cli.plan import command as plan
from lake_assets.errors import LakeError, Unavailable
from lake_assets.operations.permissions import lacking, role_needs
from lake_assets.project import read_files
from lake_assets.settings import load_settings
from lake_assets.warehouse.gcp.permissions import CATALOG, PROJECTS, STORAGE
from tests.deploy.test_terraform import called
from tests.support.deploy_documents import blocks, texts
from tests.support.doubles.permissions import ACCOUNT, PASSED_TO, Cloud, cloud


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[Cloud]:
    with cloud() as made:
        for name in ("AWS_ENDPOINT_URL", PROJECTS, CATALOG, STORAGE):
            monkeypatch.setenv(name, made.address)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "double")
        for name in ("LAKE_ANALYSTS", "LAKE_GCP_POLICY_TAGS", "LAKE_SPARK_RUNNER"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        monkeypatch.setenv("LAKE_GCP_PROJECT", "shop")
        monkeypatch.setenv("LAKE_GCP_LOCATION", "EU")
        monkeypatch.setenv("LAKE_HOME", str(tmp_path))
        yield made


def on(target: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the missing permissions on the target."""
    monkeypatch.setenv("LAKE_TARGET", target)
    monkeypatch.setenv("LAKE_BUCKET", {"aws": "s3://lake", "gcp": "gs://lake", "local": "file:///lake"}[target])
    settings = load_settings()
    return lacking(settings, read_files(settings).assets.values(), ["funnel_data_mart"])


def test_on_aws_each_action_is_named_with_its_resource(double: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    assert on("aws", monkeypatch) == []
    asked = {action for _, actions in double.asked for action in actions}
    # What the code itself calls is read from it; its files are read and written by libraries.
    calls = {action for action in called() if not action.startswith(("lakeformation:", "emr-serverless:"))}
    assert {*calls, "s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"} <= asked
    assert [action for action in asked if action.startswith(("lakeformation:", "emr-serverless:"))] == []
    double.lacks = {"s3:DeleteObject", "glue:BatchUpdatePartition"}
    assert on("aws", monkeypatch) == [
        "s3:DeleteObject on arn:aws:s3:::lake/*",
        f"glue:BatchUpdatePartition on arn:aws:glue:eu-central-1:{ACCOUNT}:table/contracts_staging/*",
    ]


def test_what_the_lake_does_not_use_is_not_asked_for(double: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    double.lacks = {"lakeformation:GrantPermissions", "emr-serverless:StartJobRun"}
    assert on("aws", monkeypatch) == []
    monkeypatch.setenv("LAKE_ANALYSTS", f"arn:aws:iam::{ACCOUNT}:role/analyst")
    assert on("aws", monkeypatch) == ["lakeformation:GrantPermissions on *"]
    monkeypatch.setenv("LAKE_SPARK_RUNNER", "emr-serverless")
    monkeypatch.setenv("LAKE_EMR_APPLICATION", "app")
    monkeypatch.setenv("LAKE_EMR_ROLE", f"arn:aws:iam::{ACCOUNT}:role/spark")
    assert f"emr-serverless:StartJobRun on arn:aws:emr-serverless:eu-central-1:{ACCOUNT}:/applications/app" in on(
        "aws", monkeypatch
    )


def test_passing_the_role_of_spark_is_simulated_for_its_service(double: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_SPARK_RUNNER", "emr-serverless")
    monkeypatch.setenv("LAKE_EMR_APPLICATION", "app")
    monkeypatch.setenv("LAKE_EMR_ROLE", f"arn:aws:iam::{ACCOUNT}:role/spark")
    assert on("aws", monkeypatch) == []
    ((_, body),) = [found for found in blocks("aws") if found[0][1:] == ("aws_iam_policy_document", "orchestrator")]
    (passing,) = [part for part in body["statement"] if "iam:PassRole" in texts(part["actions"])]
    assert list(texts(passing["condition"][0]["values"])) == [PASSED_TO]


def test_permissions_are_checked_for_a_user_but_not_for_the_account_owner(
    double: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.lacks = {"s3:ListBucket"}
    double.caller = f"arn:aws:iam::{ACCOUNT}:user/anna"
    assert on("aws", monkeypatch) == ["s3:ListBucket on arn:aws:s3:::lake"]
    double.caller = f"arn:aws:iam::{ACCOUNT}:root"
    assert on("aws", monkeypatch) == []


def test_on_google_cloud_bucket_and_project_are_asked_once_each(double: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    assert on("gcp", monkeypatch) == []
    objects = {f"storage.objects.{verb}" for verb in ("get", "list", "create", "delete")}
    assert [(place, set(actions)) for place, actions in double.asked] == [
        ("/storage/v1/b/lake/iam/testPermissions", objects),
        (
            "/v1/projects/shop:testIamPermissions",
            {f"bigquery.{name}" for name in ("jobs.create", "jobs.get", "jobs.list", "datasets.create")},
        ),
    ]
    double.lacks = {"storage.objects.delete", "bigquery.jobs.create"}
    assert on("gcp", monkeypatch) == [
        "storage.objects.delete on gs://lake", "bigquery.jobs.create on project shop",
    ]  # fmt: skip


def test_on_google_cloud_policy_tags_and_their_taxonomy_are_checked(
    double: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    taxonomy = "projects/shop/locations/eu/taxonomies/1"
    tags = [f"{taxonomy}/policyTags/{number}" for number in (2, 3)]
    monkeypatch.setenv("LAKE_GCP_POLICY_TAGS", f"personal={tags[0]} confidential={tags[1]}")
    assert on("gcp", monkeypatch) == []
    assert [place for place, _ in double.asked[2:]] == [f"/v1/{name}:testIamPermissions" for name in (taxonomy, *tags)]
    double.lacks = {"datacatalog.taxonomies.get", "datacatalog.categories.fineGrainedGet"}
    assert on("gcp", monkeypatch) == [
        f"datacatalog.taxonomies.get on {taxonomy}",
        *(f"datacatalog.categories.fineGrainedGet on {tag}" for tag in tags),
    ]


@pytest.mark.parametrize("target", ["aws", "gcp"])
def test_credentials_that_may_not_even_ask_are_reported(
    double: Cloud, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    double.refuses = True
    with pytest.raises(LakeError, match=r"SimulatePrincipalPolicy|the API is not enabled"):
        on(target, monkeypatch)


def test_a_cloud_that_does_not_answer_is_unavailable(double: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STORAGE, "http://127.0.0.1:1")
    with pytest.raises(Unavailable, match="try again later"):
        on("gcp", monkeypatch)


def test_plan_names_what_lacks_before_it_needs_anything_else(double: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lake has no Postgres yet, so the plan itself cannot be made."""
    double.lacks = {"s3:PutObject"}
    on("aws", monkeypatch)
    result = CliRunner().invoke(plan, [])
    assert result.stderr == "These credentials lack s3:PutObject on arn:aws:s3:::lake/*.\n"
    double.refuses = True
    result = CliRunner().invoke(plan, [])
    assert result.stderr.startswith(
        "The permissions of these credentials could not be checked: AWS refuses, check the AWS credentials"
    )


def test_plan_lists_what_each_role_needs(monkeypatch: pytest.MonkeyPatch, double: Cloud) -> None:
    on("gcp", monkeypatch)
    missing = json.loads(CliRunner().invoke(plan, ["--permissions", "--json"]).stdout)
    assert {"role": "analyst", "action": "bigquery.jobs.create", "on": "project"} in missing
    assert on("local", monkeypatch) == []
    assert all(needs == [] for needs in role_needs(load_settings()).values())
    assert "needs no cloud permissions" in CliRunner().invoke(plan, ["--permissions"]).stdout
