"""A bucket that cannot be used is reported in one sentence, before anything starts on it."""

import json
from pathlib import Path

import pytest

from lake_assets.bucket import check, read, remove, size, write
from lake_assets.errors import SettingsError, Unavailable
from lake_assets.object_stores import UnknownStore, store_of
from lake_assets.settings import load_settings
from tests.support.buckets import DOUBLES, s3


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("abfs://lake@account/x", "begin with one of file://, s3://, gs://, hdfs://"),
        ("hdfs:///lake", "needs its name node"),
        ("file://host/lake", "begins with file:///"),
    ],
)
def test_a_url_that_names_no_bucket_is_refused_with_what_it_must_be(url: str, words: str) -> None:
    with pytest.raises(UnknownStore, match=words):
        store_of(url)


def test_s3_without_a_region_names_the_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(SettingsError, match="set one to the region"):
        store_of("s3://lake")


@pytest.mark.parametrize(
    "scheme", [pytest.param(scheme, marks=[pytest.mark.server] if scheme == "hdfs" else []) for scheme in DOUBLES]
)
def test_files_are_written_read_and_removed_in_every_bucket(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DOUBLES[scheme](tmp_path / "double") as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        check(bucket.url)
        file = f"{bucket.url}/a/b/c.txt"
        assert (read(file), size(file)) == (None, None)
        write(file, b"one")
        write(file, b"other")
        assert (read(file), size(file)) == (b"other", 5)
        remove(file)
        remove(file)
        assert read(file) is None


def test_a_bucket_that_is_not_there_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3(tmp_path) as bucket:
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(Unavailable, match=r"the bucket s3://nothing cannot be used .*: check that it exists"):
            check("s3://nothing")


def test_a_lake_knows_the_bucket_that_it_was_first_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables of the lake name files in the bucket by their whole URLs."""
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    (tmp_path / "stack.json").write_text(json.dumps({"bucket": "s3://lake"}), "utf-8")
    monkeypatch.delenv("LAKE_BUCKET", raising=False)
    assert load_settings().bucket == "s3://lake"
