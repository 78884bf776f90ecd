"""A file that a commit names is on the disk before it, with its name and its folders."""

from pathlib import Path

import pytest

from lake_assets.bucket import write
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.duckdb import conform
from lake_assets.conform.tokens import make_token_key
from lake_assets.home import Home
from lake_assets.local_files import write_atomically
from lake_assets.stack.addresses import write_addresses
from lake_assets.stack.passwords import keep_passwords, passfile_of
from tests.support.conform_records import NOON, ORDERS, Record, write_raw
from tests.support.system_calls import recorded_calls


def test_a_file_is_synced_before_its_name_and_the_name_after(tmp_path: Path) -> None:
    with recorded_calls() as calls:
        write(f"file://{tmp_path}/a/b/file", b"content")
    folder = tmp_path / "a" / "b"
    assert calls == [
        ("sync", folder.parent),
        ("sync", tmp_path),
        ("sync", folder / ".file.part"),
        ("rename", folder / "file"),
        ("sync", folder),
    ]


@pytest.mark.parametrize("durable", [True, False])
def test_only_durable_files_wait_for_the_disk(tmp_path: Path, durable: bool) -> None:
    with recorded_calls() as calls:
        write_atomically(tmp_path / "file", "text", durable=durable)
    assert [call for call, _ in calls] == (["sync", "rename", "sync"] if durable else ["rename"])


def test_conformed_files_are_on_the_disk_when_conform_returns(tmp_path: Path) -> None:
    out = tmp_path / "conformed"
    raw = [Record(b'{"order_id": "a", "ordered_at": "%b"}' % NOON.isoformat().encode()), Record(b"{bad", offset=1)]
    path = tmp_path / "raw.parquet"
    write_raw(path, raw)
    window = WindowInput(f"{NOON:%Y-%m-%d}", (str(path),), len(raw), path.stat().st_size)
    with recorded_calls() as calls:
        conform(ORDERS, [window], f"file://{out}", tmp_path, "run", "name")
    files = sorted(path for path in out.rglob("*") if path.is_file())
    assert len(files) == 2
    last_rename = max(number for number, (call, _) in enumerate(calls) if call == "rename")
    synced = {path for call, path in calls[last_rename:] if call == "sync"}
    assert {*files, *(path for path in out.rglob("*") if path.is_dir()), out, out.parent} <= synced


def test_secrets_and_addresses_are_on_the_disk_before_servers_use_them(tmp_path: Path) -> None:
    layout = Home(tmp_path / "home")
    layout.create()
    with recorded_calls() as calls:
        keep_passwords(layout, "127.0.0.1", 5432)
        write_addresses(layout, {"postgres_port": 5432})
        make_token_key(layout.secrets / "token_key")
    for path in (passfile_of(layout, "lake"), layout.connect_secrets / "postgres.properties", layout.stack_file):
        renamed = calls.index(("rename", path))
        assert calls[renamed - 1][0] == "sync"
        assert calls[renamed + 1] == ("sync", path.parent)
    assert calls[-2:] == [("sync", layout.secrets / "token_key"), ("sync", layout.secrets)]
