"""Protected fields: judged by their values, and not to be found in anything that is written afterwards."""

import hashlib
import hmac
import json
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from lake_assets.catalog.model import Asset, Field, FieldType, Protection
from lake_assets.catalog.window_results import WindowInput
from lake_assets.conform.duckdb import conform
from lake_assets.conform.rebuild_without_raw import Kept, conform_kept
from lake_assets.conform.tokens import ensure_token_key, token_key
from lake_assets.errors import LakeError, SettingsError
from tests.support.conform_records import ORDERS, Conformed, Record, write_raw

SECRET = "ann@example.com"


def protected(**fields: Protection) -> Asset:
    email = Field("email", FieldType("string"), required=True, pattern="[^@]+@[^@]+")
    asset = replace(ORDERS, fields=(*ORDERS.fields, email))
    return replace(asset, fields=tuple(replace(f, protection=fields.get(f.name)) for f in asset.fields))


TOKENISED = protected(email="tokenise")


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.delenv("LAKE_TOKEN_KEY", raising=False)
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "lake"))
    ensure_token_key([TOKENISED], [])
    return token_key()


def order(order_id: str, **fields: object) -> bytes:
    return json.dumps({"order_id": order_id, "ordered_at": "2026-01-01T12:00:00Z", "email": SECRET, **fields}).encode()


def conformed(asset: Asset, tmp_path: Path, payloads: Sequence[bytes]) -> Conformed:
    raw = tmp_path / "raw.parquet"
    write_raw(raw, [Record(payload, key=b"of ann@example.com") for payload in payloads])
    window = WindowInput("2026-01-01", (str(raw),), len(payloads), 1)
    outputs = conform(asset, [window], f"file://{tmp_path}/out", tmp_path, "run", "file")
    good = [path for output in outputs for path in output.good_files]
    bad = [path for output in outputs for path in output.quarantine_files]
    return Conformed(outputs, read(good, "_offset"), read(bad, '"offset"'))


def read(paths: Sequence[str], order: str) -> list[dict[str, object]]:
    if not paths:
        return []
    return duckdb.sql(f"from read_parquet({list(paths)}) order by {order}").to_arrow_table().to_pylist()


def test_a_token_is_the_hmac_of_the_value_under_the_lakes_key(tmp_path: Path, key: bytes) -> None:
    made = conformed(TOKENISED, tmp_path, [order("a"), order("b", email="ünï@example.com")])
    for row, value in zip(made.good, (SECRET, "ünï@example.com"), strict=True):
        assert row["email"] == hmac.digest(key, value.encode(), "sha256").hex()


def test_nothing_that_is_written_holds_a_protected_value(tmp_path: Path) -> None:
    for kind in ("tokenise", "drop"):
        asset = replace(protected(email=kind), unknown_fields="reject")
        folder = tmp_path / kind
        folder.mkdir()
        bad = [order("too-long-an-id"), order("c", email="ann-example.com", region="nowhere"), order("d", mail=SECRET)]
        made = conformed(asset, folder, [order("a"), *bad, b"ann@example.com is no JSON"])
        assert (len(made.good), len(made.quarantined)) == (1, 4)
        assert "example.com" not in str(made.good) + str(made.quarantined) + str(made.outputs)
        errors = made.quarantined[1]["errors"]
        assert isinstance(errors, list)
        assert [(e["code"], e["field"], e["value"]) for e in errors] == [
            ("enum", "region", "nowhere"),
            ("pattern", "email", "(hidden)"),
        ]


def test_a_dropped_field_is_judged_and_then_null(tmp_path: Path) -> None:
    asset = protected(email="drop", quantity="drop")
    made = conformed(asset, tmp_path, [order("a", quantity=7), order("b", email=None), order("c", quantity=11)])
    assert [(row["order_id"], row["email"], row["quantity"]) for row in made.good] == [("a", None, None)]
    assert len(made.quarantined) == 2


def test_rows_whose_key_is_a_token_are_duplicates_by_their_values(tmp_path: Path) -> None:
    asset = replace(TOKENISED, key=("email",))
    made = conformed(asset, tmp_path, [order("a"), order("b"), order("c", email="b@example.com")])
    assert [row["order_id"] for row in made.good] == ["b", "c"]


def test_a_confidential_value_is_hidden_in_reasons_and_kept_in_staging(tmp_path: Path) -> None:
    fields = tuple(replace(f, classification="personal") if f.name == "email" else f for f in TOKENISED.fields)
    asset = replace(TOKENISED, fields=tuple(replace(f, protection=None) for f in fields))
    made = conformed(asset, tmp_path, [order("a"), order("b", email="ann")])
    assert made.good[0]["email"] == SECRET
    assert made.quarantined[0]["payload"] == order("b", email="ann")
    errors = made.quarantined[0]["errors"]
    assert isinstance(errors, list)
    assert [error["value"] for error in errors] == ["(hidden)"]


def test_a_window_without_raw_rows_is_left_as_it_is(tmp_path: Path) -> None:
    """The window's quarantine has no payloads, and its good rows would be tokenised twice."""
    kept = Kept("2026-01-01", pa.table({}), pa.table({}), (), 0)
    with pytest.raises(LakeError, match="quarantine keeps no payloads"):
        conform_kept(TOKENISED, kept, f"file://{tmp_path}/out", tmp_path, "run", "file")


def test_the_key_is_made_once_is_for_its_owner_only_and_is_never_replaced(
    tmp_path: Path, key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lake" / "secrets" / "token_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ensure_token_key([TOKENISED], [TOKENISED])
    assert token_key() == key
    path.unlink()
    with pytest.raises(SettingsError, match="restore it from your back-up"):
        ensure_token_key([TOKENISED], [TOKENISED])
    with pytest.raises(SettingsError, match="restore it from your back-up"):
        conformed(TOKENISED, tmp_path, [order("a")])
    ensure_token_key([ORDERS], [])
    assert not path.exists()
    monkeypatch.setenv("LAKE_SECRETS", str(tmp_path / "mounted"))
    with pytest.raises(SettingsError, match="has no token_key"):
        ensure_token_key([TOKENISED], [])
    assert not path.exists(), "a container's home goes with it"
    given = tmp_path / "given"
    monkeypatch.setenv("LAKE_TOKEN_KEY", str(given))
    with pytest.raises(SettingsError, match="is not at"):
        ensure_token_key([TOKENISED], [])
    given.write_text("short\n", "utf-8")
    given.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        token_key()
    given.chmod(0o600)
    with pytest.raises(SettingsError, match="64 hexadecimal digits"):
        token_key()
    given.write_text(hashlib.sha256(b"key").hexdigest() + "\n", "utf-8")
    assert token_key() == hashlib.sha256(b"key").digest()


def test_an_error_of_the_session_does_not_show_the_key(tmp_path: Path, key: bytes) -> None:
    raw = tmp_path / "raw.parquet"
    raw.write_bytes(b"no Parquet")
    with pytest.raises(duckdb.Error) as caught:
        conform(
            TOKENISED, [WindowInput("2026-01-01", (str(raw),), 1, 1)], f"file://{tmp_path}/out", tmp_path, "run", "file"
        )
    assert key.hex() not in str(caught.value).lower()
