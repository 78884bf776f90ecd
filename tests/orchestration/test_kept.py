"""Retention of raw that several versions of a dataset share."""

from dataclasses import replace
from datetime import timedelta

from lake_assets.catalog.model import Asset, Retention
from lake_assets.operations.retention import raw_kept
from tests.support.conform_records import ORDERS


def kept(days: int | None) -> Asset:
    return replace(ORDERS, retention=Retention(raw=None if days is None else timedelta(days=days)))


def test_raw_is_kept_as_long_as_any_version_keeps_it() -> None:
    assert raw_kept([kept(10), kept(90), kept(30)]) == timedelta(days=90)


def test_raw_is_kept_for_ever_when_one_version_keeps_it_so() -> None:
    assert raw_kept([kept(10), kept(None)]) is None
