"""Permissions that the Google Cloud credentials lack, as the resources report them (`testIamPermissions`)."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from lake_assets.compile.permissions import Need
from lake_assets.errors import LakeError, Unavailable
from lake_assets.gcp import connected
from lake_assets.settings import Settings

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from google.auth.transport.requests import AuthorizedSession

SECONDS = 30
# gcloud's own variables, except the last: that of Google's client of Cloud Storage.
PROJECTS = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER"
CATALOG = "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATACATALOG"
STORAGE = "STORAGE_EMULATOR_HOST"


class _Auth(Protocol):
    """Functions of the module `google.auth` that the lake calls, with types: its own leave some out."""

    def default(self, scopes: Sequence[str]) -> "tuple[Credentials, str | None]": ...


def lacking_on_gcp(settings: Settings, needs: Sequence[Need]) -> list[str]:
    """Return each permission that the caller lacks, with its resource.

    One request for the bucket, for the project, and for each policy tag of the settings and its taxonomy.

    Permissions on single datasets are not checked. Raises SettingsError without credentials, Unavailable, and LakeError
    when Google refuses the request, which needs no permission.
    """
    import requests

    session = _session()
    bucket, project = urlsplit(settings.bucket).netloc, settings.gcp.project
    catalog = _base(CATALOG, "datacatalog")
    tags = [tag for _, tag in settings.gcp.policy_tags]
    taxonomies = dict.fromkeys(tag.partition("/policyTags/")[0] for tag in tags)
    resources = [
        ("bucket", f"gs://{bucket}", f"{_base(STORAGE, 'storage')}/storage/v1/b/{bucket}/iam/testPermissions"),
        (
            "project",
            f"project {project}",
            f"{_base(PROJECTS, 'cloudresourcemanager')}/v1/projects/{project}:testIamPermissions",
        ),
        *(("taxonomy", name, f"{catalog}/v1/{name}:testIamPermissions") for name in taxonomies),
        *(("policy_tag", name, f"{catalog}/v1/{name}:testIamPermissions") for name in tags),
    ]
    lacking: list[str] = []
    for kind, resource, url in resources:
        actions = [action for need in needs if need.on == kind for action in need.actions]
        method, form = ("GET", "params") if kind == "bucket" else ("POST", "json")
        try:
            response = session.request(method, url, timeout=SECONDS, **{form: {"permissions": actions}})
        except requests.RequestException as error:
            raise Unavailable(f"Google Cloud does not answer, try again later: {error}") from error
        if not response.ok:
            raise LakeError(
                f"Google Cloud does not report the permissions on {resource}: {response.text.strip()[:300]}"
            )
        granted = set(response.json().get("permissions", ()))
        lacking += [f"{action} on {resource}" for action in actions if action not in granted]
    return lacking


def _base(variable: str, service: str) -> str:
    return os.environ.get(variable, f"https://{service}.googleapis.com").rstrip("/")


def _session() -> Any:
    """Return a session of requests with the credentials; an emulator needs none."""
    import google.auth
    import requests

    if STORAGE in os.environ:
        return requests.Session()
    return connected(lambda: _authorized(google.auth))


def _authorized(auth: _Auth) -> "AuthorizedSession":
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    return AuthorizedSession(credentials)
