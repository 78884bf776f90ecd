"""The settings of each place: what is missing is named, and nothing is guessed."""

from dataclasses import replace
from pathlib import Path

import pytest

from lake_assets.conform.runners.code import Code
from lake_assets.errors import LakeError, SettingsError
from lake_assets.operations.adapters import runner_for
from lake_assets.orchestration.definitions import build_definitions
from lake_assets.project import read_files
from lake_assets.settings import Runner, Settings, load_settings
from tests.support.spark_places import environment

NEEDED = [
    ("emr-serverless", "emr-serverless", "LAKE_EMR_APPLICATION"),
    ("emr-serverless", "emr-serverless", "LAKE_EMR_ROLE"),
    ("emr-serverless", "emr-serverless", "LAKE_SPARK_ENVIRONMENT"),
    ("emr-serverless", "emr-serverless", "AWS_DEFAULT_REGION"),
    ("emr", "emr-made", "LAKE_EMR_RELEASE"),
    ("dataproc", "dataproc-made", "LAKE_DATAPROC_PROJECT"),
    ("dataproc", "dataproc-made", "LAKE_DATAPROC_REGION"),
    ("dataproc", "dataproc-made", "LAKE_DATAPROC_IMAGE"),
    ("dataproc-batch", "dataproc-batch", "LAKE_DATAPROC_PROJECT"),
]
BUCKETS = {"emr": "s3://lake", "emr-serverless": "s3://lake", "dataproc": "gs://lake", "dataproc-batch": "gs://lake"}


@pytest.fixture
def set_up(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Settings for a runner, with all variables that it needs; nothing of the machine's own clouds."""
    for variable in ("AWS_REGION", "AWS_PROFILE", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")

    def make(runner: Runner, place: str) -> Settings:
        for variable, value in environment(place).items():
            monkeypatch.setenv(variable, value)
        return replace(settings, bucket=BUCKETS[runner], spark=replace(settings.spark, runner=runner))

    return make


@pytest.mark.parametrize(("runner", "place", "variable"), NEEDED)
def test_a_missing_setting_is_named(
    set_up, monkeypatch: pytest.MonkeyPatch, runner: Runner, place: str, variable: str
) -> None:
    settings = set_up(runner, place)
    # Google's credentials come last: their absence must not hide what is named first.
    monkeypatch.delenv(variable)
    with pytest.raises(SettingsError, match=variable):
        runner_for(settings)


@pytest.mark.parametrize(("runner", "place"), [("dataproc", "dataproc-given"), ("dataproc-batch", "dataproc-batch")])
def test_missing_google_credentials_are_named(set_up, runner: Runner, place: str) -> None:
    with pytest.raises(SettingsError, match="gcloud auth application-default login"):
        runner_for(set_up(runner, place))


@pytest.mark.parametrize(
    ("runner", "place", "kind"), [("emr-serverless", "emr-serverless", "EmrServerless"), ("emr", "emr-given", "Emr")]
)
def test_the_setting_chooses_the_place(set_up, runner: Runner, place: str, kind: str) -> None:
    assert type(runner_for(set_up(runner, place))).__name__ == kind


@pytest.mark.parametrize("runner", BUCKETS)
def test_a_bucket_that_the_cluster_cannot_read_is_refused(set_up, runner: Runner) -> None:
    settings = replace(set_up(runner, "emr-given"), bucket="file:///lake")
    with pytest.raises(SettingsError, match=f"'{runner}' cannot read file:///lake: set LAKE_BUCKET"):
        runner_for(settings)


@pytest.mark.parametrize("text", ["memory=8g", "spark.executor.memory", "spark.executor.memory="])
def test_a_spark_setting_that_is_none_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("LAKE_SPARK_CONF", text)
    with pytest.raises(SettingsError, match="LAKE_SPARK_CONF"):
        Code.of(settings)


def test_a_missing_archive_is_reported_with_the_command_that_builds_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAKE_SPARK_ENVIRONMENT", str(tmp_path / "none.tar.gz"))
    with pytest.raises(LakeError, match="make spark-dist"):
        Code.of(settings).uploaded()


def test_an_archive_in_the_bucket_is_used_as_it_is(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_SPARK_ENVIRONMENT", "s3://lake/environment.tar.gz")
    assert Code.of(settings).uploaded().archive == "s3://lake/environment.tar.gz#environment"


def test_code_that_was_cut_short_in_the_bucket_is_uploaded_again(settings: Settings) -> None:
    code = Code.of(settings)
    main = Path(code.uploaded().main.removeprefix("file://"))
    whole = main.read_bytes()
    main.write_bytes(whole[:100])
    code.uploaded()
    assert main.read_bytes() == whole


def test_the_asset_of_orphans_is_there_for_places_that_can_leave_clusters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "lake"))
    for runner, there in (("emr-serverless", False), ("emr", True)):
        monkeypatch.setenv("LAKE_SPARK_RUNNER", runner)
        graph = build_definitions(load_settings(), read_files(load_settings())).resolve_asset_graph()
        assert any(key.path == ["spark_orphans"] for key in graph.get_all_asset_keys()) is there
