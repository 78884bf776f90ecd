"""Tags and grants in AWS Lake Formation, set where they are missing."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from lake_assets.aws import client
from lake_assets.errors import LakeError

Request = Mapping[str, Any]


class LakeFormation:
    """Calls to Lake Formation; errors of the SDK are passed on.

    The caller must be an administrator of Lake Formation, or may create tags, associate them and grant by them.
    """

    def __init__(self) -> None:
        self._formation = client("lakeformation")

    def ensure_tags(self, tags: Iterable[Request]) -> None:
        """Create the tags, or add their missing values."""
        pages = self._formation.get_paginator("list_lf_tags").paginate()
        existing = {tag["TagKey"]: tag["TagValues"] for page in pages for tag in page["LFTags"]}
        for tag in tags:
            key, missing = tag["TagKey"], sorted(set(tag["TagValues"]) - set(existing.get(tag["TagKey"], ())))
            if key not in existing:
                self._formation.create_lf_tag(**tag)
            elif missing:
                self._formation.update_lf_tag(TagKey=key, TagValuesToAdd=missing)

    def untagged(self, requests: Iterable[Request]) -> list[Request]:
        """Return the requests (`add_lf_tags_to_resource`) whose database or columns lack the tags."""
        return [request for request in requests if not self._has_tags(request)]

    def tag(self, requests: Iterable[Request]) -> None:
        """Execute the requests. Raises LakeError if Lake Formation refuses one."""
        for request in requests:
            for failure in self._formation.add_lf_tags_to_resource(**request)["Failures"]:
                error = failure["Error"]
                raise LakeError(f"Lake Formation refuses a tag: {error['ErrorCode']}: {error.get('ErrorMessage', '')}")

    def ungranted(self, requests: Iterable[Request]) -> list[Request]:
        """Return the requests (`grant_permissions`) that are not granted."""
        entries: list[Request] = []
        page: dict[str, Any] = {}
        while True:
            more = {"NextToken": page["NextToken"]} if page else {}
            page = self._formation.list_permissions(ResourceType="LF_TAG_POLICY", **more)
            entries += page["PrincipalResourcePermissions"]
            if "NextToken" not in page:
                break
        return [request for request in requests if not any(_grants(entry, request) for entry in entries)]

    def grant(self, requests: Iterable[Request]) -> None:
        """Execute the requests; granting a granted permission again has no effect."""
        for request in requests:
            self._formation.grant_permissions(**request)

    def _has_tags(self, request: Request) -> bool:
        tags = {tag["TagKey"]: tag["TagValues"] for tag in request["LFTags"]}
        with suppress(self._formation.exceptions.EntityNotFoundException):
            response = self._formation.get_resource_lf_tags(Resource=request["Resource"], ShowAssignedLFTags=True)
            columns = request["Resource"].get("TableWithColumns", {}).get("ColumnNames", ())
            if not columns:
                database_tags = response.get("LFTagOnDatabase", [])
                return _values(database_tags).items() >= tags.items()
            tagged = {column["Name"]: _values(column["LFTags"]) for column in response.get("LFTagsOnColumns", [])}
            return all(tagged.get(name, {}).items() >= tags.items() for name in columns)
        return False


def _grants(entry: Request, request: Request) -> bool:
    """Return True if a listed entry is the requested one; Lake Formation adds the account to its requests."""
    requested, listed = request["Resource"]["LFTagPolicy"], entry["Resource"].get("LFTagPolicy", {})
    return (
        entry["Principal"] == request["Principal"]
        and listed.get("ResourceType") == requested["ResourceType"]
        and listed.get("Expression") == requested["Expression"]
        and set(entry["Permissions"]) >= set(request["Permissions"])
    )


def _values(tags: Iterable[Request]) -> dict[str, list[str]]:
    return {tag["TagKey"]: tag["TagValues"] for tag in tags}
