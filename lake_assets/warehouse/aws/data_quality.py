"""A contract's rules in AWS Glue Data Quality, as a rule set of the staging table; not evaluated automatically."""

from dataclasses import dataclass
from typing import Any

from lake_assets.catalog.model import Asset
from lake_assets.compile.dqdl import ruleset


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rule set of one asset. `glue` is boto3's client; errors of the SDK are passed on."""

    glue: Any
    asset: Asset

    @property
    def name(self) -> str:
        return f"{self.asset.staging_schema}.{self.asset.name}"

    def missing(self) -> str | None:
        """Return the change that `ensure` would make, in a sentence; None when there is none. One request."""
        existing = self._read()
        if existing == ruleset(self.asset):
            return None
        return f"{'write' if existing is None else 'change'} the rule set {self.name}"

    def ensure(self) -> None:
        """Write the rule set, or update it to the contract's rules."""
        existing, rules = self._read(), ruleset(self.asset)
        if existing is None:
            try:
                self.glue.create_data_quality_ruleset(
                    Name=self.name,
                    Description=f"The contract of {self.asset.name}. Give an evaluation one window, as its partition.",
                    Ruleset=rules,
                    TargetTable={"DatabaseName": self.asset.staging_schema, "TableName": self.asset.name},
                )
                return
            except self.glue.exceptions.AlreadyExistsException:
                pass  # another process was faster, with the same contract or another
        if existing != rules:
            self.glue.update_data_quality_ruleset(Name=self.name, Ruleset=rules)

    def _read(self) -> str | None:
        try:
            return str(self.glue.get_data_quality_ruleset(Name=self.name)["Ruleset"])
        except self.glue.exceptions.EntityNotFoundException:
            return None
