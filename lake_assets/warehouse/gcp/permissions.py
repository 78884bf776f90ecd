"""Which permissions the credentials of Google Cloud lack, as the resources themselves say (`testIamPermissions`)."""

import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from lake_assets.compile.permissions import Need
from lake_assets.errors import LakeError, Unavailable
from lake_assets.gcp import connected
from lake_assets.settings import Settings

SECONDS = 30
# gcloud's own variable for the first; the second is that of Google's client of Cloud Storage.
PROJECTS = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER"
STORAGE = "STORAGE_EMULATOR_HOST"


def lacking_on_gcp(settings: Settings, needs: Sequence[Need]) -> list[str]:
    """Each permission that the caller does not have, with where; one request for the bucket and one for the project.

    What single datasets give is not looked at. Raises SettingsError without credentials, Unavailable, and LakeError
    when Google refuses the question, which nobody needs a permission for.
    """
    import requests

    session = _session()
    bucket, project = urlsplit(settings.bucket).netloc, settings.gcp.project
    questions = {
        "bucket": ("GET", f"{_base(STORAGE, 'storage')}/storage/v1/b/{bucket}/iam/testPermissions", "params"),
        "project": (
            "POST",
            f"{_base(PROJECTS, 'cloudresourcemanager')}/v1/projects/{project}:testIamPermissions",
            "json",
        ),
    }
    places = {"bucket": f"gs://{bucket}", "project": f"project {project}"}
    found: list[str] = []
    for on, (method, url, form) in questions.items():
        wanted = [action for need in needs if need.on == on for action in need.actions]
        try:
            answer = session.request(method, url, timeout=SECONDS, **{form: {"permissions": wanted}})
        except requests.RequestException as error:
            raise Unavailable(f"Google Cloud does not answer, try again later: {error}") from error
        if not answer.ok:
            raise LakeError(f"Google Cloud does not say what is allowed on {places[on]}: {answer.text.strip()[:300]}")
        has = set(answer.json().get("permissions", ()))
        found += [f"{action} on {places[on]}" for action in wanted if action not in has]
    return found


def _base(variable: str, service: str) -> str:
    return os.environ.get(variable, f"https://{service}.googleapis.com").rstrip("/")


def _session() -> Any:
    """A session of requests with the credentials in it; a double takes none."""
    import google.auth
    import requests
    from google.auth.transport.requests import AuthorizedSession

    if STORAGE in os.environ:
        return requests.Session()
    scope = "https://www.googleapis.com/auth/cloud-platform"
    return connected(lambda: AuthorizedSession(google.auth.default(scopes=[scope])[0]))
