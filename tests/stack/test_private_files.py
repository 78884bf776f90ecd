"""Files of a lake, and other users of the machine."""

import sys
from pathlib import Path

import pytest

from lake_assets.home import Home
from lake_assets.stack.private_files import close_files
from tests.support.other_user import modes_open, open_to_others


@pytest.fixture
def old_home(tmp_path: Path) -> Home:
    """A home as an older version made it, on a path that other users can reach."""
    layout = Home(tmp_path / "lake")
    layout.create()
    bucket = layout.home / "bucket"
    for folder in (layout.home, layout.logs, bucket, bucket / "raw", layout.home / "duckdb"):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder.owner() == tmp_path.owner() and folder != Path("/"):
            folder.chmod(0o755)
    for file in (layout.log("kafka"), layout.home / "bucket" / "raw" / "a.parquet"):
        file.write_text("payload", "utf-8")
        file.chmod(0o644)
    (layout.home / "duckdb" / "link").symlink_to(sys.executable)
    return layout


def test_home_of_an_older_version_is_closed_once(old_home: Home) -> None:
    assert open_to_others(old_home.home)
    linked = Path(sys.executable).stat().st_mode
    # The home, four folders and two files.
    assert close_files(old_home) == 7
    assert open_to_others(old_home.home) == []
    assert modes_open([old_home.home, *old_home.home.rglob("*")]) == set()
    assert Path(sys.executable).stat().st_mode == linked
    assert close_files(old_home) == 0


def test_interrupted_repair_is_repeated(old_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Path.chmod

    def fail(path: Path, mode: int) -> None:
        if path.name == "bucket":
            raise KeyboardInterrupt
        plain(path, mode)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "chmod", fail)
        with pytest.raises(KeyboardInterrupt):
            close_files(old_home)
    assert close_files(old_home) > 0
    assert modes_open([old_home.home, *old_home.home.rglob("*")]) == set()
