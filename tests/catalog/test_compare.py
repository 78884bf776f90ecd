"""Kinds of contract changes, row by row of the table in `compare`."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.catalog.compare import compare
from lake_assets.catalog.model import Asset, Check, Field, FieldType, QuarantineBudget
from tests.support.contracts import parse

ORDERS = parse()
OPTIONAL = Field("note", FieldType("string"))


def with_field(field_name: str, /, **changes: Any) -> Asset:
    fields = tuple(replace(field, **changes) if field.name == field_name else field for field in ORDERS.fields)
    return replace(ORDERS, fields=fields)


CHANGES: list[tuple[str, Asset, str, str]] = [
    ("description", replace(ORDERS, description="Other."), "none", "none"),
    ("owners", replace(ORDERS, owners=("a@example.com",)), "none", "none"),
    ("freshness", replace(ORDERS, freshness=timedelta(hours=3)), "none", "none"),
    ("frequency", replace(ORDERS, frequency=timedelta(minutes=3)), "none", "none"),
    ("roster", replace(ORDERS, roster="country"), "none", "none"),
    ("engine", replace(ORDERS, engine="spark"), "none", "none"),
    ("compatibility", replace(ORDERS, compatibility="none"), "none", "none"),
    ("status", replace(ORDERS, status="draft"), "none", "none"),
    ("version", replace(ORDERS, version="1.1.0"), "none", "none"),
    ("version", replace(ORDERS, version="2.0.0"), "none", "breaking"),
    ("fields", replace(ORDERS, fields=ORDERS.fields[::-1]), "none", "none"),
    ("fields.note", replace(ORDERS, fields=(*ORDERS.fields, OPTIONAL)), "additive", "breaking"),
    ("fields.note", replace(ORDERS, fields=(*ORDERS.fields, replace(OPTIONAL, required=True))), "breaking", "breaking"),
    ("fields.amount.type", with_field("amount", type=FieldType("decimal", 14, 2)), "additive", "breaking"),
    ("fields.amount.type", with_field("amount", type=FieldType("decimal", 14, 4)), "breaking", "breaking"),
    ("fields.amount.type", with_field("amount", type=FieldType("double")), "breaking", "breaking"),
    ("fields.pieces.type", with_field("pieces", type=FieldType("decimal", 18, 0)), "breaking", "breaking"),
    ("fields.paid.required", with_field("paid", required=True), "breaking", "additive"),
    ("fields.pieces.physicalName", with_field("pieces", source="pcs"), "breaking", "breaking"),
    ("fields.due.format", with_field("due", format=None), "breaking", "breaking"),
    ("fields.amount.thousandsSeparator", with_field("amount", thousands="comma"), "breaking", "breaking"),
    ("fields.due.firstYear", with_field("due", first_year=1927), "breaking", "breaking"),
    ("fields.amount.unit", with_field("amount", unit="$"), "breaking", "breaking"),
    ("fields.country.pattern", with_field("country", pattern=None), "additive", "breaking"),
    ("fields.country.pattern", with_field("country", pattern="^[A-Z]{3}$"), "breaking", "breaking"),
    ("fields.origin.validValues", with_field("origin", enum=("web", "no", "shop")), "additive", "breaking"),
    ("fields.origin.validValues", with_field("origin", enum=()), "additive", "breaking"),
    ("fields.origin.validValues", with_field("origin", enum=("web", "shop")), "breaking", "breaking"),
    ("fields.amount.minimum", with_field("amount", minimum=Decimal(-1)), "additive", "breaking"),
    ("fields.amount.minimum", with_field("amount", minimum=None), "additive", "breaking"),
    ("fields.amount.maximum", with_field("amount", maximum=Decimal(9)), "additive", "breaking"),
    ("fields.order_id.maxLength", with_field("order_id", max_length=80), "additive", "breaking"),
    ("fields.order_id.minLength", with_field("order_id", min_length=0), "additive", "breaking"),
    ("fields.country.classification", with_field("country", classification="personal"), "additive", "additive"),
    ("fields.country.protection", with_field("country", protection="tokenise"), "breaking", "breaking"),
    ("fields.country.description", with_field("country", description="ISO code."), "none", "none"),
    ("checks.row_count", replace(ORDERS, checks=ORDERS.checks[:1] + ORDERS.checks[2:]), "additive", "additive"),
    ("checks.more", replace(ORDERS, checks=(*ORDERS.checks, Check("more", "select 1", "=", (Decimal(1),)))),
     "additive", "additive"),
    ("entrypoint", replace(ORDERS, entrypoint="orders:transform"), "additive", "additive"),
    ("partitions", replace(ORDERS, partitions=8), "additive", "breaking"),
    ("unknownFields", replace(ORDERS, unknown_fields="reject"), "breaking", "additive"),
    ("quarantine", replace(ORDERS, quarantine=QuarantineBudget(5)), "additive", "additive"),
    ("name", replace(ORDERS, dataset="sales"), "breaking", "breaking"),
    ("domain", replace(ORDERS, domain="crm"), "breaking", "breaking"),
    ("topic", replace(ORDERS, topic="shop.other"), "breaking", "breaking"),
    ("key", replace(ORDERS, key=("order_id", "paid")), "breaking", "breaking"),
    ("eventTime", replace(ORDERS, event_time="due"), "breaking", "breaking"),
    ("window", replace(ORDERS, window="hour"), "breaking", "breaking"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "changed", "there", "back"), CHANGES, ids=[f"{n}-{path}" for n, (path, *_) in enumerate(CHANGES)]
)
def test_a_change_and_its_way_back_have_the_documented_kinds(path: str, changed: Asset, there: str, back: str) -> None:
    forward, backward = compare(ORDERS, changed), compare(changed, ORDERS)
    assert [difference.path for difference in forward.differences] == [path]
    assert (forward.kind, backward.kind) == (there, back)
    assert all(difference.sentence for difference in forward.differences)


def test_a_renamed_field_is_reported_as_a_removed_one() -> None:
    change = compare(ORDERS, with_field("paid", name="is_paid"))
    assert change.kind == "breaking"
    assert "field paid is removed; a renamed field (to is_paid?)" in change.differences[0].sentence


def test_a_breaking_change_needs_a_new_major_version_or_no_compatibility() -> None:
    broken = with_field("paid", required=True)
    assert not compare(ORDERS, broken).allowed
    assert compare(ORDERS, replace(broken, version="2.0.0")).allowed
    assert not compare(ORDERS, replace(broken, version="1.9.0")).allowed
    assert compare(ORDERS, replace(broken, compatibility="none")).allowed


def test_a_draft_may_change_in_any_way_and_an_active_one_may_not() -> None:
    draft = replace(ORDERS, status="draft")
    for _, changed, there, _ in CHANGES:
        assert compare(draft, replace(changed, status="draft")).allowed
        # The change that activates it is the draft's last.
        assert compare(draft, changed).allowed
        assert compare(ORDERS, replace(changed, status="draft")).allowed == (there != "breaking")


assets = st.lists(st.sampled_from([changed for _, changed, _, _ in CHANGES]), max_size=2).map(
    lambda picked: picked[0] if picked else ORDERS
)


@given(asset=assets)
def test_an_asset_compared_with_itself_has_not_changed(asset: Asset) -> None:
    change = compare(asset, replace(asset))
    assert (change.kind, change.differences, change.allowed) == ("none", (), True)


@given(old=assets, new=assets)
def test_both_directions_touch_the_same_places_and_the_worst_comes_first(old: Asset, new: Asset) -> None:
    forward, backward = compare(old, new), compare(new, old)
    assert {difference.path for difference in forward.differences} == {d.path for d in backward.differences}
    ranks = [("breaking", "additive", "none").index(difference.kind) for difference in forward.differences]
    assert ranks == sorted(ranks)
