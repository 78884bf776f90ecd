"""Actions that the AWS credentials lack, by IAM's own simulation of their policies."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from lake_assets.aws import aws_region, client, refusals
from lake_assets.compile.permissions import Need
from lake_assets.settings import Settings
from lake_assets.variables import read_variable

REMEDY = "the AWS credentials"


def lacking_on_aws(settings: Settings, needs: Sequence[Need], names: Mapping[str, str]) -> list[str]:
    """Return each action that the caller's policies do not allow, with its resource; one request for each need.

    `names` fills in raw, staging and mart in the needs. An organisation's own limits and the bucket's policy are not
    checked. Raises SettingsError, Unavailable, and LakeError when the caller lacks iam:SimulatePrincipalPolicy on
    itself, or iam:GetRole.
    """
    with refusals("AWS", REMEDY):
        caller = client("sts").get_caller_identity()
        caller_arn = str(caller["Arn"])
        if caller_arn.endswith(":root"):
            return []  # the account's root user lacks nothing, and cannot be simulated
        iam = client("iam")
        source = _policies_of(iam, caller_arn)
        placeholders = {
            **names,
            "caller": source,
            "partition": caller_arn.split(":")[1],
            "account": str(caller["Account"]),
            "region": aws_region(),
            "bucket": urlsplit(settings.bucket).netloc,
            "workgroup": settings.athena_workgroup,
            "application": read_variable("LAKE_EMR_APPLICATION", ""),
            "spark_role": read_variable("LAKE_EMR_ROLE", ""),
        }
        return [sentence for need in needs for sentence in _denied(iam, source, need, need.on.format(**placeholders))]


def _policies_of(iam: Any, caller_arn: str) -> str:
    """Return the ARN whose policies the caller has: for a session that of its role."""
    _, kind, rest = caller_arn.partition(":assumed-role/")
    return str(iam.get_role(RoleName=rest.split("/")[0])["Role"]["Arn"]) if kind else caller_arn


def _denied(iam: Any, source: str, need: Need, resource: str) -> list[str]:
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=source,
        ActionNames=list(need.actions),
        ResourceArns=[resource],
        # The role for Spark may be passed to this service only. Other actions ignore the key.
        ContextEntries=[
            {
                "ContextKeyName": "iam:PassedToService",
                "ContextKeyValues": ["emr-serverless.amazonaws.com"],
                "ContextKeyType": "string",
            }
        ],
    )
    return [
        f"{result['EvalActionName']} on {resource}"
        for page in pages
        for result in page["EvaluationResults"]
        if result["EvalDecision"] != "allowed"
    ]
