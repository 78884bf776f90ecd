"""Clients of AWS are kept until settings or the process change."""

import os

import pytest

from lake_assets.aws import client


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", "http://127.0.0.1:1")


def test_client_of_the_same_settings_is_the_same() -> None:
    assert client("glue") is client("glue")
    assert client("glue", attempts=1) is not client("glue")


def test_client_of_another_address_or_region_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    first = client("glue")
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", "http://127.0.0.1:2")
    assert client("glue").meta.endpoint_url == "http://127.0.0.1:2"
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert client("glue").meta.region_name == "us-east-1"
    assert first.meta.endpoint_url == "http://127.0.0.1:1"


def test_process_that_was_forked_has_connections_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first = client("glue")
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert client("glue") is not first
