"""`lake new` at the command line."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lake_assets.catalog.parse import parse_contract
from lake_assets.cli.new import command
from lake_assets.errors import LakeError

SAMPLE = "Order ID,Ordered On,Amount\nA-1,05.01.2026,1.50\nA-2,17.01.2026,2.50\n"


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sample beside an empty catalog, which is the current one; no stack is there."""
    monkeypatch.setenv("LAKE_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    file = tmp_path / "orders.csv"
    file.write_text(SAMPLE, "utf-8")
    return file


def run(*arguments: str, stdin: str | None = None) -> Result:
    result = CliRunner().invoke(command, arguments, input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_contract_is_written_and_every_decision_is_shown(sample: Path, tmp_path: Path) -> None:
    result = run("orders", "--from", str(sample), "--domain", "shop", "--owner", "shop@example.com")
    written = tmp_path / "catalog" / "assets" / "orders.yaml"
    asset = parse_contract(written.read_text("utf-8"), written)
    assert (asset.name, asset.topic, asset.owners) == ("orders", "shop.orders", ("shop@example.com",))
    assert asset.status == "draft"
    for word in ("Read 2 rows of CSV.", "order_id", "decimal(12,2)", "timestamp", "never empty", "event time"):
        assert word in result.output
    assert f"Next: `lake apply`, then `lake produce orders {sample}`" in result.output
    assert result.exit_code == 0


def test_columns_with_data_of_persons_are_shown_with_what_to_do(sample: Path, tmp_path: Path) -> None:
    sample.write_text("id,at,email\n1,2026-01-01,a@example.com\n2,2026-01-02,b@example.com\n", "utf-8")
    result = run("orders", "--from", str(sample))
    written = tmp_path / "catalog" / "assets" / "orders.yaml"
    assert [field.classification for field in parse_contract(written.read_text("utf-8"), written).fields] == [
        None, None, "personal",
    ]  # fmt: skip
    assert "note: likely personal, so that marts do not have them: email;" in result.output
    assert "{property: protection, value: {tokenise: [email]}}" in result.output


def test_editors_find_the_schema_beside_any_catalog(sample: Path, tmp_path: Path) -> None:
    run("orders", "--from", str(sample))
    first = (tmp_path / "catalog" / "assets" / "orders.yaml").read_text("utf-8").splitlines()[0]
    schema = (tmp_path / "catalog" / "assets" / first.partition("$schema=")[2]).resolve()
    assert json.loads(schema.read_text("utf-8"))["title"] == "Contract of one asset"


def test_a_contract_that_is_there_is_not_overwritten(sample: Path, tmp_path: Path) -> None:
    run("orders", "--from", str(sample))
    written = tmp_path / "catalog" / "assets" / "orders.yaml"
    written.write_text("mine", "utf-8")
    with pytest.raises(LakeError, match="exists already"):
        run("orders", "--from", str(sample))
    assert written.read_text("utf-8") == "mine"


def test_a_sample_comes_from_stdin_and_a_contract_goes_elsewhere(sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "else.yaml"
    result = run("orders", "--from", "-", "--out", str(out), "--json", stdin=SAMPLE)
    answer = json.loads(result.output)
    assert (answer["contract"], answer["event_time"]) == (str(out), "ordered_on")
    assert answer["fields"][0] == {
        "field": "order_id", "payload_key": "Order ID", "type": "string", "required": True, "key": True,
        "personal": None, "why": "text; never empty; key",
        "doubts": ["key by its name and because no two rows share it"],
    }  # fmt: skip
    assert parse_contract(out.read_text("utf-8"), out).domain == "main"
    assert not (tmp_path / "catalog").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("Orders",), "'Orders' cannot be the name of the asset: it is not a name"),
        (("select",), "'select' cannot be the name of the asset: it is a reserved word"),
        (("orders", "--domain", "my-shop"), "'my-shop' cannot be the name of the domain"),
        (("orders", "--event-time", "orderd_on"), "Did you mean 'ordered_on'?"),
        (("orders", "--owner", "me"), "a username is an e-mail address"),
    ],
)
def test_bad_input_is_refused_in_a_sentence_and_nothing_is_written(
    arguments: tuple[str, ...], sentence: str, sample: Path, tmp_path: Path
) -> None:
    with pytest.raises(LakeError) as caught:
        run(*arguments, "--from", str(sample))
    assert sentence in str(caught.value)
    assert not (tmp_path / "catalog").exists()


def test_a_file_that_is_not_there_is_named(sample: Path) -> None:
    with pytest.raises(LakeError, match=r"'nowhere\.csv' cannot be read \(No such file or directory\)"):
        run("orders", "--from", "nowhere.csv")


def test_only_a_part_of_a_large_sample_is_read_and_this_is_reported(sample: Path) -> None:
    with sample.open("w", encoding="utf-8") as file:
        file.write("id,day,note\n")
        file.writelines(f"{at},2026-01-05,{'x' * 2000}\n" for at in range(6000))
    began = time.monotonic()
    result = run("orders", "--from", str(sample))
    assert "Read the first 4,1" in result.output
    assert time.monotonic() - began < 20
