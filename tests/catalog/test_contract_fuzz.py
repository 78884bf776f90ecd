"""Any file that is read as a contract yields an asset or a ContractError that names the file."""

import copy
import json
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.problems import ContractError
from tests.support.contracts import CONTRACT, FILE

TREE: dict[str, Any] = yaml.load(CONTRACT, yaml.SafeLoader)
VALUES = st.sampled_from(
    [None, True, 0, -1, 10**30, 0.5, "", "x", "order_id", "select", "2026-13-01", "v3.1.0", "decimal(0,0)", "double",
     "number", "timestamp", "object", "landing", "yyyy", "(", "select 1 from conformed", [], [1], ["x", "x"], [[]], {},
     {"x": 1}, {"eventTime": "ordered_at"}, [{}], [None]]
)  # fmt: skip


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


PLACES = [place for place in places(TREE) if place]


def read(text: str) -> Asset | ContractError:
    try:
        return parse_contract(text, FILE)
    except ContractError as error:
        return error


def assert_is_asset_or_reports_problems(read: Asset | ContractError) -> None:
    if isinstance(read, ContractError):
        assert read.problems
        assert all(problem.file == FILE and problem.line >= 1 and problem.message for problem in read.problems)
        return
    names = {field.name for field in read.fields}
    assert read.event_time in names
    assert set(read.key) <= names
    assert read.owners


def change(node: Any, place: tuple[Any, ...], how: str, value: Any) -> None:
    """Changes one place of a tree in one of four ways; a place that an earlier change removed is left alone."""
    for part in place[:-1]:
        if not (isinstance(node, dict) and part in node) and not (
            isinstance(node, list) and isinstance(part, int) and part < len(node)
        ):
            return
        node = node[part]
    last = place[-1]
    if isinstance(node, dict) and last in node:
        if how == "add":
            node["extra"] = value
        elif how == "set":
            node[last] = value
        else:
            old = node.pop(last)
            if how == "rename":
                node[f"{last}x"] = old
    elif isinstance(node, list) and isinstance(last, int) and last < len(node):
        if how == "drop":
            del node[last]
        elif how == "set":
            node[last] = value
        else:
            node.append(copy.deepcopy(node[last]))


CHANGES = st.tuples(st.sampled_from(PLACES), st.sampled_from(["set", "drop", "add", "rename"]), VALUES)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(CHANGES, min_size=1, max_size=4))
def test_a_mutated_contract_is_an_asset_or_reports_its_problems(
    changes: list[tuple[tuple[Any, ...], str, Any]],
) -> None:
    tree = copy.deepcopy(TREE)
    for place, how, value in changes:
        change(tree, place, how, copy.deepcopy(value))
    assert_is_asset_or_reports_problems(read(json.dumps(tree)))


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(CONTRACT)), length=st.integers(0, 20), new=st.text(max_size=10))
def test_a_damaged_contract_is_an_asset_or_reports_its_problems(at: int, length: int, new: str) -> None:
    assert_is_asset_or_reports_problems(read(CONTRACT[:at] + new + CONTRACT[at + length :]))


@settings(max_examples=200, deadline=None)
@given(text=st.text() | st.text(alphabet="{}[]:,-?&*!|>'\"#% \n\tab1~", max_size=80))
def test_any_text_is_no_contract_and_the_cause_is_reported(text: str) -> None:
    error = read(text)
    assert isinstance(error, ContractError)
    assert str(error).startswith((f"{FILE}:", f"{len(error.problems)} problems"))
