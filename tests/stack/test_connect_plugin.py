"""The plugin of the lake's own: compiled once for their sources, and clear when they cannot be."""

import zipfile
from pathlib import Path

import pytest

from lake_assets.compile.connector import ENVELOPE, SINK
from lake_assets.stack import connect_plugin
from lake_assets.stack.connect_plugin import PluginError, compile_plugin, plugin_folder
from lake_assets.stack.jars import jars_folder
from lake_assets.stack.java import find_java


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    """A folder with the real jars and no plugin of ours yet."""
    for folder in ("kafka", "plugins"):
        (tmp_path / folder).symlink_to(jars_folder() / folder)
    return tmp_path


def test_plugins_are_compiled_once_and_again_when_a_source_changes(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = compile_plugin(find_java(), jars)
    with zipfile.ZipFile(folder / "lake" / "lake.jar") as archive:
        assert {f"{name.replace('.', '/')}.class" for name in (ENVELOPE, SINK)} <= set(archive.namelist())
    for jar in ("lake/iceberg/iceberg-kafka-connect-*.jar", "jdbc/debezium-connector-jdbc-*.jar"):
        assert list(folder.glob(jar)), jar
    assert compile_plugin("/there/is/no/java/here", jars) == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    changed = jars / "src"
    changed.mkdir()
    (changed / "Other.java").write_text("class Other { int broken = ; }", "utf-8")
    monkeypatch.setattr(connect_plugin, "SOURCES", changed)
    assert plugin_folder(jars) != folder
    with pytest.raises(PluginError, match=r"could not be compiled: .*Other\.java:1: error"):
        compile_plugin(find_java(), jars)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_java_without_a_compiler_is_named(jars: Path) -> None:
    java = jars / "java"
    java.write_text(
        "#!/bin/sh\necho 'java.lang.module.FindException: Module jdk.compiler not found' >&2\nexit 1\n", "utf-8"
    )
    java.chmod(0o755)
    with pytest.raises(PluginError, match="is a Java without a compiler: install a JDK 17"):
        compile_plugin(str(java), jars)
