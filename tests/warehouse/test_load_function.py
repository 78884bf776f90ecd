"""The function that a bucket's notification calls loads what Dagster publishes, once, in either order."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import replace

import pytest
from google.auth.credentials import AnonymousCredentials
from starlette.testclient import TestClient

from lake_assets.catalog.texts import Catalog
from lake_assets.catalog.window_results import WindowOutput
from lake_assets.errors import LakeError
from lake_assets.settings import load_settings
from lake_assets.warehouse.gcp import bigquery, load_function
from lake_assets.warehouse.gcp.bigquery import BigQuery
from lake_assets.warehouse.gcp.load_function import application, load_published
from lake_assets.warehouse.publication import announce, is_publication
from tests.support.conform_records import ORDERS
from tests.support.deploy_documents import google_permissions
from tests.support.doubles import bigquery as double
from tests.warehouse.test_bigquery import Lake, bucket, good, lake

__all__ = ["bucket", "lake"]  # fixtures
DAY = "2026-01-01"
PLACE = f"publications/orders/{DAY}.json"
ASSETS = {"orders": ORDERS}


@pytest.fixture
def announcing(lake: Lake) -> Lake:
    """Dagster's side announces what it publishes."""
    lake.settings = replace(lake.settings, gcp=replace(lake.settings.gcp, load_function=True))
    lake.warehouse = BigQuery(lake.settings)
    return lake


caller = ContextVar("caller", default="orchestrator")


@pytest.fixture(autouse=True)
def accounts(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function and Dagster call BigQuery by different accounts."""

    from google.cloud.bigquery import Client

    def client(project: str, location: str) -> Client:
        address = {"api_endpoint": lake.double.url_of(caller.get())}
        return Client(project, AnonymousCredentials(), location=location, client_options=address)

    monkeypatch.setattr(bigquery, "bigquery_client", client)
    lake.warehouse = BigQuery(lake.settings)


def called(lake: Lake, place: str = PLACE) -> str:
    bucket_name, _, prefix = lake.settings.bucket.removeprefix("gs://").partition("/")
    token = caller.set("function")
    try:
        return load_published(lake.settings, ASSETS, bucket_name, f"{prefix}/{place}" if prefix else place)
    finally:
        caller.reset(token)


def loads(lake: Lake) -> int:
    return len([job for job in lake.double.jobs.values() if "load" in job["configuration"]])


def dies_after_announcing(lake: Lake, output: WindowOutput) -> None:
    announce(lake.settings, ORDERS, [output])


def test_what_dagster_has_loaded_is_not_loaded_again(announcing: Lake) -> None:
    announcing.publish(announcing.made(DAY, [good("a"), b"bad"]))
    before = loads(announcing)
    assert called(announcing) == f"orders {DAY} is loaded."
    assert called(announcing) == f"orders {DAY} is loaded.", "notifications come more than once"
    assert loads(announcing) == before == 2
    assert (announcing.ids(), len(announcing.quarantine())) == (["a"], 1)


@pytest.mark.fault("Dagster dies after it announced a publication (doubles)", "the load function loads it once")
def test_an_announced_output_is_loaded_and_found_by_the_run_after_a_crash(announcing: Lake) -> None:
    output = announcing.made(DAY, [good("a"), b"bad"])
    dies_after_announcing(announcing, output)
    called(announcing)
    assert (announcing.ids(), len(announcing.quarantine())) == (["a"], 1)
    before = loads(announcing)
    announcing.publish(output)
    assert loads(announcing) == before
    assert announcing.ids() == ["a"]


def test_neither_account_may_read_jobs_of_the_other_without_the_permission(
    announcing: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = announcing.made(DAY, [good("a")])
    dies_after_announcing(announcing, output)
    called(announcing)
    assert set(announcing.double.owners.values()) == {"function"}
    granted = {
        **google_permissions()["orchestrator"],
        "project": frozenset({"bigquery.jobs.create", "bigquery.jobs.list"}),
    }
    monkeypatch.setattr(double, "google_permissions", lambda: {"orchestrator": granted})
    with pytest.raises(LakeError, match=r"was not published: .*orchestrator lacks bigquery\.jobs\.get"):
        announcing.publish(output)


def test_both_at_once_load_once(announcing: Lake) -> None:
    output = announcing.made(DAY, [good("a"), b"bad"])
    dies_after_announcing(announcing, output)
    with ThreadPoolExecutor(3) as pool:
        done = [
            pool.submit(called, announcing),
            pool.submit(announcing.publish, output),
            pool.submit(called, announcing),
        ]
        for one in done:
            one.result(60)
    assert loads(announcing) == 2
    assert (announcing.ids(), len(announcing.quarantine())) == (["a"], 1)


def test_a_notification_that_comes_late_loads_the_newest(announcing: Lake) -> None:
    dies_after_announcing(announcing, announcing.made(DAY, [good("old")]))
    announcing.publish(announcing.made(DAY, [good("new")]))
    called(announcing)
    assert announcing.ids() == ["new"]


def test_older_files_that_were_loaded_over_newer_ones_are_loaded_over(
    announcing: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster publishes something newer between the function's read and its load, without bad rows."""
    dies_after_announcing(announcing, announcing.made(DAY, [good("old"), b"bad"]))
    newer = announcing.made(DAY, [good("new")])
    genuine = load_function.announced
    looks: list[object] = []

    def look(*arguments: object) -> object:
        found = genuine(*arguments)  # type: ignore[arg-type]
        if not looks:
            announcing.publish(newer)
        looks.append(found)
        return found

    monkeypatch.setattr(load_function, "announced", look)
    called(announcing)
    assert len(looks) == 3
    assert (announcing.ids(), announcing.quarantine()) == (["new"], [])


def test_what_is_not_announced_is_not_written_to_the_bucket(lake: Lake) -> None:
    lake.publish(lake.made("2026-01-09", [good("a", "2026-01-09")]))
    place = "publications/orders/2026-01-09.json"
    assert called(lake, place) == f"{place} no longer exists."


@pytest.mark.parametrize(
    "place", ["conformed/orders/v1/x.parquet", "publications/orders/../x.json", "publications/Orders/1.json", ""]
)
def test_other_objects_are_left_alone(lake: Lake, place: str) -> None:
    assert not is_publication(place)
    assert called(lake, place).endswith("is not a publication of this lake.")
    assert load_published(lake.settings, ASSETS, "another", PLACE).endswith("is not a publication of this lake.")
    assert lake.double.calls == []


def test_a_function_with_an_older_catalog_reports_it(announcing: Lake) -> None:
    announcing.publish(announcing.made(DAY, [good("a")]))
    place = announcing.settings.bucket.removeprefix("gs://")
    with pytest.raises(LakeError, match=r"catalog has no orders: deploy it again"):
        load_published(announcing.settings, {}, place, PLACE)


def test_the_application_answers_in_the_ways_of_the_web(announcing: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_function, "load_settings", lambda: announcing.settings)
    monkeypatch.setattr(load_function, "read_files", lambda _: Catalog(ASSETS))
    name = announcing.settings.bucket.removeprefix("gs://")
    announcing.publish(announcing.made(DAY, [good("a")]))
    with TestClient(application()) as client:
        done = client.post("/", json={"bucket": name, "name": PLACE, "size": "123"})
        assert (done.status_code, done.text) == (200, f"orders {DAY} is loaded.")
        assert client.post("/", json={"bucket": name, "name": "x.txt"}).status_code == 200
        assert client.post("/", content=b"hello").status_code == 400
        monkeypatch.setattr(load_function, "announced", lambda *_: (_ for _ in ()).throw(LakeError("not today")))
        refused = client.post("/", json={"bucket": name, "name": PLACE})
    assert (refused.status_code, refused.text) == (503, "not today")


def test_the_setting_is_on_or_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKE_GCP_LOAD_FUNCTION", raising=False)
    assert load_settings().gcp.load_function is False
    monkeypatch.setenv("LAKE_GCP_LOAD_FUNCTION", "on")
    assert load_settings().gcp.load_function is True
