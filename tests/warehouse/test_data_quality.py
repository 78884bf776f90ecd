"""The contract's rules are in Glue Data Quality after an apply, and only written when they changed."""

from dataclasses import replace

from lake_assets.compile.dqdl import ruleset
from lake_assets.warehouse.aws.athena import Athena
from tests.support.conform_records import ORDERS
from tests.support.doubles.athena import AthenaDouble

JUDGED = replace(ORDERS, dataset="judged")
NAME = "judged_staging.judged"


def rule_calls(aws: AthenaDouble) -> list[str]:
    return [call for call in aws.calls if call.endswith("DataQualityRuleset")]


def test_rules_are_written_once_and_follow_the_contract(aws: AthenaDouble, warehouse: Athena) -> None:
    assert f"write the rule set {NAME}" in warehouse.missing(JUDGED)
    assert f"write the rule set {NAME}" in warehouse.ensure(JUDGED)
    assert aws.rule_sets[NAME]["Ruleset"] == ruleset(JUDGED)
    assert aws.rule_sets[NAME]["TargetTable"] == {"DatabaseName": "judged_staging", "TableName": "judged"}
    aws.calls.clear()
    assert warehouse.ensure(JUDGED) == []
    assert rule_calls(aws) == ["GetDataQualityRuleset"]
    changed = replace(JUDGED, fields=(replace(JUDGED.fields[0], min_length=3), *JUDGED.fields[1:]))
    assert warehouse.missing(changed) == [f"change the rule set {NAME}"]
    warehouse.ensure(changed)
    assert aws.rule_sets[NAME]["Ruleset"] == ruleset(changed) != ruleset(JUDGED)


def test_two_applies_at_once_leave_the_rules_there(aws: AthenaDouble, warehouse: Athena) -> None:
    asset = replace(ORDERS, dataset="hurried")
    aws.before["CreateDataQualityRuleset"] = lambda: aws.rule_sets.update(
        {"hurried_staging.hurried": {"Ruleset": "old"}}
    )
    warehouse.ensure(asset)
    assert aws.rule_sets["hurried_staging.hurried"]["Ruleset"] == ruleset(asset)
