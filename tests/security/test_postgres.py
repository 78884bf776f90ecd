"""A Postgres that refuses clients without TLS: each of the lake's ways to it is safe, or fails clearly."""

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from lake_assets.errors import LakeError, SettingsError
from lake_assets.landing.raw_catalog import pointers, raw_catalog
from lake_assets.ledger.ledger import Ledger
from lake_assets.settings import Settings
from lake_assets.stack.health import check_postgres
from lake_assets.warehouse.local.analyst_query import query_as_analyst
from lake_assets.warehouse.local.connection import connect
from lake_assets.warehouse.metric_tables import applied_definitions
from tests.support.own_servers import Own


def read_tables(settings: Settings) -> None:
    with raw_catalog(settings) as catalog:
        catalog.list_namespaces()


def read_ledger(settings: Settings) -> None:
    with Ledger(settings):
        pass


WAYS: dict[str, Callable[[Settings], object]] = {
    "raw catalog": read_tables,
    "pointers": lambda settings: pointers(settings, []),
    "ledger": read_ledger,
    "lake sql": lambda settings: query_as_analyst(settings, "select 1", None),
    "DuckDB and DuckLake": lambda settings: connect(settings).close(),
    "metrics": lambda settings: applied_definitions(settings, []),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_checks_the_server_s_certificate(own: Own, own_postgres: Settings, way: str) -> None:
    WAYS[way](own_postgres)
    wrong = replace(own_postgres, postgres=replace(own_postgres.postgres, ca=own.stranger.ca))
    with pytest.raises(SettingsError, match=r"cannot be reached safely .*certificate.*check LAKE_POSTGRES_SSLMODE"):
        WAYS[way](wrong)
    assert "certificate" in (check_postgres(wrong) or "")


@pytest.mark.parametrize("driver", ["postgresql+psycopg", "postgresql+psycopg2"])
def test_a_url_of_either_driver_means_the_same(own: Own, own_postgres: Settings, driver: str) -> None:
    postgres = own_postgres.postgres
    engine = create_engine(postgres.url("dagster", driver, dbname="dagster"), poolclass=NullPool)
    with engine.connect() as session:
        assert session.execute(text("select 1")).scalar() == 1
    with pytest.raises(Exception, match="certificate verify failed"):
        create_engine(replace(postgres, ca=own.stranger.ca).url("dagster", driver, dbname="dagster")).connect()


def test_a_certificate_for_another_host_is_taken_by_verify_ca_only(own_postgres: Settings) -> None:
    passwords = own_postgres.postgres.passfile_of("lake")
    passwords.write_text(passwords.read_text("utf-8").replace("127.0.0.1", "localhost") + passwords.read_text("utf-8"))
    other = replace(own_postgres.postgres, host="localhost")
    with pytest.raises(psycopg.OperationalError, match="does not match host name"):
        psycopg.connect(other.conninfo("lake"))
    psycopg.connect(replace(other, sslmode="verify-ca").conninfo("lake")).close()
    settings = replace(own_postgres, postgres=other)
    with pytest.raises(SettingsError, match="does not match host name"):
        Ledger(settings)


def test_a_file_of_an_authority_that_is_not_there_is_named(own: Own, own_postgres: Settings) -> None:
    missing = own.layout.home / "gone.pem"
    with pytest.raises(LakeError, match=rf"{missing}.*check LAKE_POSTGRES_SSLMODE and LAKE_POSTGRES_CA\.$"):
        Ledger(replace(own_postgres, postgres=replace(own_postgres.postgres, ca=missing)))
