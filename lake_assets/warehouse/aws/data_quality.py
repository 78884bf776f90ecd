"""A contract's rules in AWS Glue Data Quality, as a rule set of the staging table; nothing evaluates it by itself."""

from dataclasses import dataclass
from typing import Any

from lake_assets.catalog.model import Asset
from lake_assets.compile.dqdl import ruleset


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rule set of one asset. `glue` is boto3's client; errors of the SDK come through as they are."""

    glue: Any
    asset: Asset

    @property
    def name(self) -> str:
        return f"{self.asset.staging_schema}.{self.asset.name}"

    def missing(self) -> str | None:
        """What `ensure` would do, in a sentence; None when the rule set is as the contract says. One request."""
        there = self._there()
        if there == ruleset(self.asset):
            return None
        return f"{'write' if there is None else 'change'} the rule set {self.name}"

    def ensure(self) -> None:
        """Writes the rule set, or gives it the contract's rules."""
        there, wanted = self._there(), ruleset(self.asset)
        if there is None:
            try:
                self.glue.create_data_quality_ruleset(
                    Name=self.name,
                    Description=f"The contract of {self.asset.name}. Give an evaluation one window, as its partition.",
                    Ruleset=wanted,
                    TargetTable={"DatabaseName": self.asset.staging_schema, "TableName": self.asset.name},
                )
                return
            except self.glue.exceptions.AlreadyExistsException:
                pass  # somebody was quicker, with the same contract or another
        if there != wanted:
            self.glue.update_data_quality_ruleset(Name=self.name, Ruleset=wanted)

    def _there(self) -> str | None:
        try:
            return str(self.glue.get_data_quality_ruleset(Name=self.name)["Ruleset"])
        except self.glue.exceptions.EntityNotFoundException:
            return None
