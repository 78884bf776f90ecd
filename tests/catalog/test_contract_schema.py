"""The house profile is a part of ODCS, and the committed file that editors read is that profile."""

import json
import re
from importlib.resources import files
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema.validators import Draft201909Validator, Draft202012Validator

from lake_assets.catalog.schema import contract_schema
from lake_assets.settings import PROJECT

ODCS = Draft201909Validator(json.loads((files("open_data_contract_standard") / "schema.json").read_text("utf-8")))
PROFILE = contract_schema()


@st.composite
def instances(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    """Any value that the profile takes, of the few keywords the profile uses."""
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    match schema.get("type"):
        case "string" if "pattern" in schema:
            longest = schema.get("maxLength", 60)
            return draw(st.from_regex(schema["pattern"], fullmatch=True).filter(lambda text: len(text) <= longest))
        case "string" | ["string", "null"]:
            return draw(st.text(min_size=1, max_size=8))
        case "integer":
            return draw(st.integers(schema.get("minimum", -9), min(schema.get("maximum", 99), 99)))
        case "number":
            low, high = schema.get("minimum", -9), min(schema.get("maximum", 99), 99)
            return draw(st.integers(low, high) | st.floats(low, high))
        case "boolean":
            return draw(st.booleans())
        case "array":
            items, least, most = instances(schema["items"]), schema.get("minItems", 1), min(schema["maxItems"], 3)
            unique = st.lists(items, min_size=least, max_size=most, unique_by=_distinguished)
            return draw(unique if schema.get("uniqueItems") else st.lists(items, min_size=least, max_size=most))
        case _:
            return draw(_objects(schema))


def _distinguished(value: Any) -> str:
    """0, 0.0 and -0.0 are one number in JSON."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return repr(float(value) + 0.0) if is_number else repr(value)


@st.composite
def _objects(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    known = schema["properties"]
    one_of = [alternative["required"][0] for alternative in schema.get("oneOf", [])]
    optional = [key for key in known if key not in one_of]
    least = schema.get("minProperties", 0)
    chosen = set(draw(st.lists(st.sampled_from(optional), min_size=least, unique=True))) if optional else set[str]()
    chosen |= set(schema.get("required", ())) | ({draw(st.sampled_from(one_of))} if one_of else set())
    parts = dict(known)
    value: dict[str, Any] = {}
    for rule in schema.get("allOf", []):
        ((key, wanted),) = rule["if"]["properties"].items()
        if key in chosen and key not in value:
            value[key] = draw(instances(parts[key]))
        then = rule["then"] if value.get(key) == wanted["const"] else rule.get("else", {})
        parts |= then.get("properties", {})
        chosen |= set(then.get("required", ()))
    for key in chosen - set(value):
        if parts[key] != {"not": {}}:
            value[key] = draw(instances(parts[key]))
    return value


# One example costs ODCS's schema about 0.1 s, which is why contracts are not held to it at run time.
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(contract=instances(PROFILE))
def test_whatever_the_profile_takes_is_a_valid_odcs_contract(contract: dict[str, Any]) -> None:
    assert [error.message for error in Draft202012Validator(PROFILE).iter_errors(contract)] == []
    assert [f"{error.json_path}: {error.message}" for error in ODCS.iter_errors(contract)] == []


def test_the_example_contracts_are_valid_odcs_contracts() -> None:
    examples = sorted((PROJECT / "lake_assets" / "catalog" / "assets").glob("*.yaml"))
    assert examples
    for example in examples:
        # BaseLoader leaves dates texts, as JSON has them, and numbers too, which the second parse puts right.
        tree = yaml.load(re.sub(r"start: ([\d-]+)", r'start: "\1"', example.read_text("utf-8")), yaml.SafeLoader)
        assert [f"{example.name} {error.json_path}: {error.message}" for error in ODCS.iter_errors(tree)] == []


def test_the_committed_schema_for_editors_is_current() -> None:
    committed = PROJECT / "lake_assets" / "catalog" / "contract.schema.json"
    assert json.loads(committed.read_text("utf-8")) == contract_schema()


def test_the_profile_is_a_sound_json_schema_without_references() -> None:
    Draft202012Validator.check_schema(PROFILE)
    assert "$ref" not in json.dumps(PROFILE)
