"""The marts' databases in Glue, which the analysts of the settings may read by Lake Formation."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress

from lake_assets.aws import client, refusals
from lake_assets.compile.grants import check_mart_schema
from lake_assets.compile.lake_formation import analyst_grants, layer_tag, mart_tags
from lake_assets.errors import SettingsError
from lake_assets.settings import Settings
from lake_assets.warehouse.aws.lake_formation import LakeFormation


class GlueMarts:
    """A `MartAccess` over Glue; `MartAccess` documents each method.

    Without analysts in the settings Lake Formation is not used: IAM then controls read access.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._glue = client("glue")

    def check(self) -> None:
        """Refuse a workgroup that enforces where results go: it takes the files of marts as well."""
        name = self._settings.athena_workgroup
        with refusals("Athena", "LAKE_ATHENA_WORKGROUP and the rights of your credentials there"):
            configuration = client("athena").get_work_group(WorkGroup=name)["WorkGroup"].get("Configuration", {})
        location = configuration.get("ResultConfiguration", {}).get("OutputLocation")
        if location and configuration.get("EnforceWorkGroupConfiguration"):
            raise SettingsError(
                f"the workgroup '{name}' (LAKE_ATHENA_WORKGROUP) enforces its output location {location}, so marts "
                "would be written among query results, which expire and analysts cannot read: let it not override "
                "client-side settings, or name another workgroup."
            )

    def missing(self, schemas: Sequence[str]) -> list[str]:
        with _refusals():
            closed = {schema for schema in schemas if not self._exists(schema)}
            if self._settings.analysts:
                formation = LakeFormation()
                tags = {schema: mart_tags(schema) for schema in schemas}
                closed |= {schema for schema, request in tags.items() if formation.untagged([request])}
                grants = [grant for analyst in self._settings.analysts for grant in analyst_grants(analyst)]
                # The grants are by tag, for all marts at once.
                if formation.ungranted(grants):
                    closed |= set(schemas)
            return sorted(closed)

    def ensure(self, schemas: Sequence[str]) -> None:
        for schema in schemas:
            check_mart_schema(schema)
        with _refusals():
            for schema in schemas:
                described = {"Name": schema, "Description": "Data marts, made by dbt: what analysts read."}
                with suppress(self._glue.exceptions.AlreadyExistsException):
                    self._glue.create_database(DatabaseInput=described)
            if self._settings.analysts:
                formation = LakeFormation()
                formation.ensure_tags([layer_tag()])
                formation.tag(formation.untagged(mart_tags(schema) for schema in schemas))
                grants = [grant for analyst in self._settings.analysts for grant in analyst_grants(analyst)]
                formation.grant(formation.ungranted(grants))

    def tables(self) -> None:
        return None

    def _exists(self, schema: str) -> bool:
        with suppress(self._glue.exceptions.EntityNotFoundException):
            return bool(self._glue.get_database(Name=schema))
        return False


def _refusals() -> AbstractContextManager[None]:
    return refusals(
        "AWS (the marts' databases)",
        "LAKE_ANALYSTS (ARNs of roles or users) and the rights of your credentials in Glue and Lake Formation",
    )
