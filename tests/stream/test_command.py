"""The command's arguments, and functions of metrics that were repaired."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from stream_app.__main__ import main
from stream_app.transform import TransformError, load_transform


@pytest.mark.parametrize("share", ["0/2", "3/2", "1", "1/0", "a/b"])
def test_a_share_that_is_none_is_refused(share: str) -> None:
    result = CliRunner().invoke(main, ["--share", share])
    assert result.exit_code == 2
    assert f"'{share}' is not a share such as 1/2" in result.output


@pytest.mark.parametrize("broken", ["", "def counted(:", "import nothing_of_this_name"])
def test_a_function_that_was_repaired_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """A host tries again in the same process, which knows the module already."""
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "repaired_later.py"
    path.write_text(broken, "utf-8")
    with pytest.raises((TransformError, SyntaxError)):
        load_transform("repaired_later:counted")
    path.write_text("# repaired\ndef counted(event):\n    return event\n", "utf-8")
    assert load_transform("repaired_later:counted")({"x": 1}) == {"x": 1}
    sys.modules.pop("repaired_later")
