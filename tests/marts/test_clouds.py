"""dbt makes the same marts of the same staging rows in every warehouse."""

from collections.abc import Generator, Mapping, Sequence

import psycopg
import pytest
from pyarrow.fs import FileSelector

from lake_assets.aws import client
from lake_assets.bucket import opened, write
from lake_assets.catalog.model import Asset
from lake_assets.gcp import bigquery_client
from lake_assets.operations.adapters import erasure_for, warehouse_for
from lake_assets.settings import Settings
from tests.support.cloud_lakes import CLOUDS, CloudLake, lake_in
from tests.support.mart_rows import call_dbt

MARTS = {"funnel_data_mart.funnel": "month, origin", "sales_data_mart.sales": "day, region"}
BUILD = ("build", "--exclude-resource-type", "unit_test", "--exclude-resource-type", "exposure")


@pytest.fixture(scope="module", params=CLOUDS)
def cloud(
    request: pytest.FixtureRequest,
    session_lake: Settings,
    catalog: Mapping[str, Asset],
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[CloudLake]:
    with lake_in(request.param, session_lake, catalog.values(), tmp_path_factory.mktemp(request.param)) as lake:
        yield lake


def test_marts_are_the_same_as_on_this_machine_however_often_they_are_made(cloud: CloudLake, built: Settings) -> None:
    for _ in range(2):
        done = call_dbt(cloud.settings, *BUILD, **cloud.environment)
        assert done.returncode == 0, done.stdout
        for mart, order in MARTS.items():
            query = f"select * from {mart} order by {order}"
            found = warehouse_for(cloud.settings).query(query, None)
            with psycopg.connect(built.postgres.conninfo("analyst")) as session:
                local = session.execute(query.encode())
                assert [column.name for column in local.description or ()] == list(found.columns)
                rows = local.fetchall()
            assert rows
            assert [[str(value) for value in row] for row in found.rows] == [
                [str(value) for value in row] for row in rows
            ]


def test_descriptions_of_a_mart_are_those_of_its_table(cloud: CloudLake) -> None:
    assert call_dbt(cloud.settings, *BUILD, **cloud.environment).returncode == 0
    description, columns = described(cloud.settings)
    assert description == "Sales of each region and day (UTC), by the time of the order."
    assert columns == {
        "region": "Sales region; 'unknown' when the order names none.",
        "day": "Day of the order, UTC.",
        "orders": "Number of orders.",
        "quantity": "Units sold.",
        "amount": "Sum of the orders' amounts.",
    }


def described(settings: Settings) -> tuple[str, dict[str, str]]:
    """Return the descriptions of the mart `sales` and of its columns, as the cloud has them."""
    if settings.target == "aws":
        table = client("glue").get_table(DatabaseName="sales_data_mart", Name="sales")["Table"]
        columns = table["StorageDescriptor"]["Columns"]
        return table["Description"], {column["Name"]: column.get("Comment", "") for column in columns}
    found = bigquery_client(settings.gcp.project, settings.gcp.location).get_table("sales_data_mart.sales")
    return found.description or "", {field.name: field.description or "" for field in found.schema}


@pytest.mark.parametrize("cloud", ["aws"], indirect=True)
def test_after_a_purge_nothing_is_left_of_the_marts_that_were_shown_before(
    cloud: CloudLake, catalog: Mapping[str, Asset]
) -> None:
    settings = cloud.settings
    earlier = below(settings, "marts")
    for _ in range(2):
        assert call_dbt(settings, *BUILD, **cloud.environment).returncode == 0
    # A query that began before these builds still reads its files.
    assert set(earlier) <= set(below(settings, "marts"))
    for answer in ("athena/answer.csv", "athena/results/answer.csv"):
        write(f"{settings.bucket}/{answer}", b"of a query")

    def shown() -> list[list[list[str]]]:
        query = warehouse_for(settings).query
        return [texts(query(f"select * from {mart} order by {order}", None).rows) for mart, order in MARTS.items()]

    before = shown()
    assert len(below(settings, "marts")) > len(MARTS)
    erasure_for(settings).purge(catalog["sales"], [], ())
    assert len(below(settings, "marts")) == len(MARTS)
    assert below(settings, "athena") == []
    assert shown() == before
    # dbt builds on as before.
    assert call_dbt(settings, *BUILD, **cloud.environment).returncode == 0


def below(settings: Settings, folder: str) -> list[str]:
    """The files in a folder of the bucket."""
    system, path = opened(f"{settings.bucket}/{folder}")
    selector = FileSelector(path, recursive=True, allow_not_found=True)
    return [file.path for file in system.get_file_info(selector) if file.size]


def texts(rows: Sequence[Sequence[object]]) -> list[list[str]]:
    """Athena returns days as texts."""
    return [[str(value) for value in row] for row in rows]
