"""Tags and grants in AWS Lake Formation, set where they are not what they shall be."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from lake_assets.aws import client
from lake_assets.errors import LakeError

Request = Mapping[str, Any]


class LakeFormation:
    """Errors of the SDK come through as they are. The caller must be an administrator of Lake Formation, or may create
    tags, associate them and grant by them."""

    def __init__(self) -> None:
        self._formation = client("lakeformation")

    def ensure_tags(self, tags: Iterable[Request]) -> None:
        """Makes the tags, or adds the values that they lack."""
        pages = self._formation.get_paginator("list_lf_tags").paginate()
        there = {tag["TagKey"]: tag["TagValues"] for page in pages for tag in page["LFTags"]}
        for tag in tags:
            key, missing = tag["TagKey"], sorted(set(tag["TagValues"]) - set(there.get(tag["TagKey"], ())))
            if key not in there:
                self._formation.create_lf_tag(**tag)
            elif missing:
                self._formation.update_lf_tag(TagKey=key, TagValuesToAdd=missing)

    def untagged(self, requests: Iterable[Request]) -> list[Request]:
        """Those of the requests (`add_lf_tags_to_resource`) whose database or columns do not bear the tags yet."""
        return [request for request in requests if not self._bears(request)]

    def tag(self, requests: Iterable[Request]) -> None:
        """Carries the requests out. Raises LakeError for what Lake Formation refuses."""
        for request in requests:
            for failure in self._formation.add_lf_tags_to_resource(**request)["Failures"]:
                told = failure["Error"]
                raise LakeError(f"Lake Formation refuses a tag: {told['ErrorCode']}: {told.get('ErrorMessage', '')}")

    def ungranted(self, requests: Iterable[Request]) -> list[Request]:
        """Those of the requests (`grant_permissions`) that are not granted."""
        there: list[Request] = []
        page: dict[str, Any] = {}
        while True:
            more = {"NextToken": page["NextToken"]} if page else {}
            page = self._formation.list_permissions(ResourceType="LF_TAG_POLICY", **more)
            there += page["PrincipalResourcePermissions"]
            if "NextToken" not in page:
                break
        return [request for request in requests if not any(_grants(entry, request) for entry in there)]

    def grant(self, requests: Iterable[Request]) -> None:
        """Carries the requests out; one that was granted before is granted still."""
        for request in requests:
            self._formation.grant_permissions(**request)

    def _bears(self, request: Request) -> bool:
        wanted = {tag["TagKey"]: tag["TagValues"] for tag in request["LFTags"]}
        with suppress(self._formation.exceptions.EntityNotFoundException):
            told = self._formation.get_resource_lf_tags(Resource=request["Resource"], ShowAssignedLFTags=True)
            columns = request["Resource"].get("TableWithColumns", {}).get("ColumnNames", ())
            if not columns:
                found = told.get("LFTagOnDatabase", [])
                return _values(found).items() >= wanted.items()
            tagged = {column["Name"]: _values(column["LFTags"]) for column in told.get("LFTagsOnColumns", [])}
            return all(tagged.get(name, {}).items() >= wanted.items() for name in columns)
        return False


def _grants(entry: Request, request: Request) -> bool:
    """Whether what Lake Formation lists is what was asked for; it adds the account to what it was told."""
    asked, there = request["Resource"]["LFTagPolicy"], entry["Resource"].get("LFTagPolicy", {})
    return (
        entry["Principal"] == request["Principal"]
        and there.get("ResourceType") == asked["ResourceType"]
        and there.get("Expression") == asked["Expression"]
        and set(entry["Permissions"]) >= set(request["Permissions"])
    )


def _values(tags: Iterable[Request]) -> dict[str, list[str]]:
    return {tag["TagKey"]: tag["TagValues"] for tag in tags}
