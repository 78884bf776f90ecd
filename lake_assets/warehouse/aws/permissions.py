"""Which actions the credentials of AWS lack, by IAM's own simulation of their policies."""

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from lake_assets.aws import aws_region, client, refusals
from lake_assets.compile.permissions import Need
from lake_assets.settings import Settings

MEND = "the AWS credentials"


def lacking_on_aws(settings: Settings, needs: Sequence[Need], names: Mapping[str, str]) -> list[str]:
    """Each action that the policies of the caller do not allow, with its resource; one request for each need.

    `names` fills in what the needs call raw, staging and mart. An organisation's own limits and the bucket's policy are
    not looked at. Raises SettingsError, Unavailable, and LakeError when the caller may not ask (it needs
    iam:SimulatePrincipalPolicy on itself, and iam:GetRole).
    """
    with refusals("AWS", MEND):
        caller = client("sts").get_caller_identity()
        who = str(caller["Arn"])
        if who.endswith(":root"):
            return []  # whoever owns the account lacks nothing, and cannot be simulated
        iam = client("iam")
        source = _policies_of(iam, who)
        places = {
            **names,
            "caller": source,
            "partition": who.split(":")[1],
            "account": str(caller["Account"]),
            "region": aws_region(),
            "bucket": urlsplit(settings.bucket).netloc,
            "workgroup": settings.athena_workgroup,
            "application": os.environ.get("LAKE_EMR_APPLICATION", ""),
            "spark_role": os.environ.get("LAKE_EMR_ROLE", ""),
        }
        return [sentence for need in needs for sentence in _denied(iam, source, need, need.on.format(**places))]


def _policies_of(iam: Any, who: str) -> str:
    """The ARN whose policies the caller has: a session's is that of its role."""
    _, kind, rest = who.partition(":assumed-role/")
    return str(iam.get_role(RoleName=rest.split("/")[0])["Role"]["Arn"]) if kind else who


def _denied(iam: Any, source: str, need: Need, resource: str) -> list[str]:
    answers = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=source, ActionNames=list(need.actions), ResourceArns=[resource]
    )
    return [
        f"{result['EvalActionName']} on {resource}"
        for answer in answers
        for result in answer["EvaluationResults"]
        if result["EvalDecision"] != "allowed"
    ]
