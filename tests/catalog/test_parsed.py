"""Parsed contracts are kept by the hash of their texts."""

import pickle
from pathlib import Path, PurePath

import pytest

from lake_assets import parsed
from lake_assets.catalog.model import Asset
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.problems import ContractError
from lake_assets.parsed import parsed_contracts
from lake_assets.settings import PROJECT

FILE = PurePath("leads.yaml")
LEADS, SALES = (
    (PROJECT / "lake_assets" / "catalog" / "assets" / f"{name}.yaml").read_text("utf-8") for name in ("leads", "sales")
)


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were parsed."""
    texts: list[str] = []

    def parse(text: str, file: PurePath) -> Asset:
        texts.append(text)
        return parse_contract(text, file)

    monkeypatch.setattr(parsed, "parse_contract", parse)
    return texts


def read(home: Path, *contracts: str, file: PurePath = FILE, are_all: bool = True) -> list[Asset]:
    with parsed_contracts(home, are_all=are_all) as parse:
        return [parse(text, file) for text in contracts]


def test_text_is_parsed_once(tmp_path: Path, texts: list[str]) -> None:
    assert read(tmp_path, LEADS, SALES) == [parse_contract(LEADS, FILE), parse_contract(SALES, FILE)]
    assert read(tmp_path, SALES, LEADS) == [parse_contract(SALES, FILE), parse_contract(LEADS, FILE)]
    assert texts == [LEADS, SALES]


def test_changed_text_is_parsed_again(tmp_path: Path, texts: list[str]) -> None:
    changed = LEADS.replace("version: 1.0.0", "version: 1.1.0")
    read(tmp_path, LEADS)
    assert [asset.version for asset in read(tmp_path, changed)] == ["1.1.0"]
    assert texts == [LEADS, changed]


def test_path_is_that_of_the_file_and_not_of_the_first_one(tmp_path: Path) -> None:
    read(tmp_path, LEADS)
    (asset,) = read(tmp_path, LEADS, file=PurePath("other.yaml"))
    assert asset.path == PurePath("other.yaml")


def test_broken_text_is_refused_each_time(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ContractError):
            read(tmp_path, LEADS.replace("version: 1.0.0", "version: one"))


def test_other_parser_parses_again(tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    read(tmp_path, LEADS)
    monkeypatch.setattr(parsed, "_parser", lambda: "newer")
    read(tmp_path, LEADS)
    assert texts == [LEADS, LEADS]
    assert [path.name for path in (tmp_path / "parsed").iterdir()] == ["newer.pickle"]


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps({"a": print})[:-4]], ids=["empty", "text", "cut"])
def test_file_that_cannot_be_read_is_written_again(tmp_path: Path, texts: list[str], content: bytes) -> None:
    read(tmp_path, LEADS)
    (path,) = (tmp_path / "parsed").iterdir()
    path.write_bytes(content)
    read(tmp_path, LEADS)
    read(tmp_path, LEADS)
    assert texts == [LEADS, LEADS]


def test_file_runs_no_code(tmp_path: Path, texts: list[str]) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.mkdir, (tmp_path / "attacked",)

    read(tmp_path, LEADS)
    (path,) = (tmp_path / "parsed").iterdir()
    path.write_bytes(pickle.dumps({"a": Attack()}))
    read(tmp_path, LEADS)
    assert not (tmp_path / "attacked").exists()
    assert texts == [LEADS, LEADS]


def versions(count: int) -> list[str]:
    return [LEADS.replace("version: 1.0.0", f"version: 1.{number}.0") for number in range(1, count + 1)]


def kept(home: Path) -> int:
    (path,) = (home / "parsed").iterdir()
    return len(pickle.loads(path.read_bytes()))


def test_one_new_text_keeps_all_others_parsed(tmp_path: Path, texts: list[str]) -> None:
    old = versions(9)
    read(tmp_path, *old)
    read(tmp_path, SALES, are_all=False)
    texts.clear()
    read(tmp_path, *old, SALES)
    assert texts == []


def test_texts_that_are_used_no_more_are_forgotten(tmp_path: Path) -> None:
    for text in versions(6):
        read(tmp_path, text)
    assert kept(tmp_path) == 2
    for text in versions(9):
        read(tmp_path, text, are_all=False)
    assert kept(tmp_path) == 9
    read(tmp_path, versions(9)[0])
    assert kept(tmp_path) == 2


def test_folder_that_is_no_lake_stays_without_a_file(tmp_path: Path) -> None:
    read(tmp_path / "none", LEADS)
    assert not (tmp_path / "none").exists()
