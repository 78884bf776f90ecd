"""Permissions in a cloud, which `lake plan` checks before they are needed."""

from collections.abc import Iterable, Sequence

from lake_assets.catalog.model import Asset
from lake_assets.compile.permissions import AWS, GCP, ROLES, Condition, Need, Role, needed
from lake_assets.operations.adapters import target_adapters
from lake_assets.settings import Settings

_RUNNERS: dict[str, Condition] = {"emr-serverless": "emr_serverless", "dataproc-batch": "dataproc_batch"}


def lacking(settings: Settings, assets: Iterable[Asset], marts: Sequence[str]) -> list[str]:
    """Return each action that the credentials lack for the work of the orchestrator, with the resource.

    Empty on the target local, which needs no credentials. Raises LakeError when the cloud does not answer.
    """
    needs = role_needs(settings)["orchestrator"]
    first = next(iter(assets), None)
    names = {
        "raw": first.domain if first else "raw",
        "staging": first.staging_schema if first else "staging",
        "mart": marts[0] if marts else "data_mart",
    }
    return target_adapters(settings).lacking(settings, needs, names)


def role_needs(settings: Settings) -> dict[Role, list[Need]]:
    """Return the permissions of each role on this target with these settings; none on the target local."""
    holding: set[Condition] = {_RUNNERS[settings.spark.runner]} if settings.spark.runner in _RUNNERS else set()
    holding.add("lake_formation" if settings.analysts else "iam_marts")
    if settings.gcp.policy_tags:
        holding.add("policy_tags")
    all_needs = {"aws": AWS, "gcp": GCP}.get(settings.target, {})
    return {role: needed(all_needs.get(role, ()), frozenset(holding)) for role in ROLES}
