"""Mechanical part of the language rules: docstrings start with a verb or a noun, and texts use the glossary's words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lake_assets.cli import COMMANDS, lake
from lake_assets.settings import PROJECT

# Packages of which docstrings and messages are checked: all of them.
DONE = frozenset({
    "bench", "lake_assets", "lake_assets/catalog", "lake_assets/cli", "lake_assets/compile", "lake_assets/conform",
    "lake_assets/dbt", "lake_assets/demo", "lake_assets/landing", "lake_assets/ledger", "lake_assets/operations",
    "lake_assets/orchestration", "lake_assets/stack", "lake_assets/warehouse", "spark", "stream_app",
})  # fmt: skip

NOT_FIRST = frozenset({"What", "Which", "Whether", "Where", "Who", "Why", "How", "By"})
# Words with an honest second meaning ("again", "position", "look") are not here.
AVOIDED = re.compile(
    r"\b(tells?|told|says?|said|anew|made again|makes? (?:it |them )?again|gone|taken away|under way|on their way|"
    r"nobody|somebody|whoever|leftovers?|tid(?:y|ies|ied)|mend(?:s|ed)?|patience)\b|--even-so",
    re.IGNORECASE,
)
# Calls whose texts a user reads, besides all that is raised.
SPEAKING = frozenset({"echo", "confirm", "prompt", "report", "problem", "refuse", "Problem", "__init__"})


def package(path: Path) -> str:
    """Return the package of a file: a folder below lake_assets, else the top folder."""
    top, *rest = path.relative_to(PROJECT).parts
    return f"{top}/{rest[0]}" if top == "lake_assets" and len(rest) > 1 else top


def files() -> list[Path]:
    roots = ("lake_assets", "stream_app", "spark", "bench")
    return sorted(path for root in roots for path in (PROJECT / root).rglob("*.py"))


def wrong_docstrings(source: str) -> list[str]:
    """Return the docstrings that start with a word of NOT_FIRST."""
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(source)) if isinstance(node, nodes)]
    return [text for text in texts if re.split(r"\W", text, maxsplit=1)[0] in NOT_FIRST]


def messages(source: str) -> Iterator[str]:
    """Yield the texts of raised errors and of calls that print, without names in backticks."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and node.exc:
            yield from _texts(node.exc)
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in SPEAKING or name.endswith("Error"):
                yield from _texts(node)


def _texts(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def avoided(text: str) -> list[str]:
    """Return the glossary's avoided words in a text. Names in backticks are exempt."""
    return [match[0] for match in AVOIDED.finditer(re.sub(r"`[^`]*`", "", text))]


def wrong_messages(source: str) -> list[str]:
    return [text for text in messages(source) if avoided(text)]


def test_each_package_is_done_or_left() -> None:
    assert {package(path) for path in files()} == DONE


@pytest.mark.parametrize("name", sorted(DONE))
def test_docstrings_start_with_a_verb_or_a_noun(name: str) -> None:
    sources = [path.read_text("utf-8") for path in files() if package(path) == name]
    assert [text for source in sources for text in wrong_docstrings(source)] == []


@pytest.mark.parametrize("name", sorted(DONE))
def test_messages_use_the_words_of_the_glossary(name: str) -> None:
    sources = [path.read_text("utf-8") for path in files() if package(path) == name]
    assert [text for source in sources for text in wrong_messages(source)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_uses_the_words_of_the_glossary(name: str) -> None:
    command = lake.get_command(click.Context(lake), name)
    assert command is not None
    with click.Context(command, info_name=name) as context:
        assert avoided(f"{COMMANDS[name][1]}\n{command.get_help(context)}") == []


@pytest.mark.parametrize(
    "source",
    [
        '"""Which windows are queued."""',
        'class A:\n    """How it is read."""',
        'async def a():\n    """Whether it is there."""',
    ],
)
def test_a_wrong_first_word_is_found(source: str) -> None:
    assert len(wrong_docstrings(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        'raise LakeError(f"{name} is gone.")',
        'error = LakeError("whoever asks " + name)',
        'click.echo(f"{count} windows made anew.", err=True)',
        'draft.report(place, "mend the contract.")',
        'click.confirm("Are they made again?")',
    ],
)
def test_an_avoided_word_in_a_message_is_found(source: str) -> None:
    assert wrong_messages(source)


def test_names_in_backticks_and_other_texts_are_exempt() -> None:
    assert wrong_messages('click.echo("the asset `leftovers` runs each hour")\nsql = "select gone from anew"') == []
