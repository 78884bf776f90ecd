"""Mechanical part of the language rules: first words of docstrings, words of the glossary, length of test names."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from io import StringIO
from pathlib import Path
from tokenize import COMMENT, generate_tokens

import click
import pytest

from lake_assets.cli import COMMANDS, lake
from lake_assets.settings import PROJECT

LONGEST_TEST_NAME = 70
# Question words, pronouns, conjunctions and prepositions: neither a verb nor a noun.
NOT_FIRST = re.compile(
    r"(What|Which|Whether|Where|Who|Whose|Whom|Why|How|By|When|While|Until|If|As|So|Than|Then|But|And|Also|Only|"
    r"In|On|Of|At|To|For|From|With|Without|After|Before|Over|Between|Up|Like|Mostly|Such|"
    r"It|Its|They|Their|This|That|These|Those|There|Nobody|Somebody|Whoever|Whatever|Everything|Nothing)\b"
)
# Words with an honest second meaning ("again", "position", "look") are not here.
AVOIDED = re.compile(
    r"\b(tells?|told|says?|said|anew|made again|remakes?|makes? (?:it |them )?again|gone|taken? away|under way|"
    r"on their way|nobody|somebody|whoever|leftovers?|tid(?:y|ies|ied)|mend(?:s|ed|ing)?|patience)\b|--even-so",
    re.IGNORECASE,
)
# A key of `--json`, and the name of an asset of Dagster.
PUBLIC_NAMES = frozenset({"under_way", "leftovers"})
# Calls whose texts a user reads, besides all that is raised.
SPEAKING = frozenset({"echo", "confirm", "prompt", "report", "problem", "refuse", "Problem", "__init__"})


def package(path: Path) -> str:
    """Return the package of a file: a folder below lake_assets or tests, else the top folder."""
    top, *rest = path.relative_to(PROJECT).parts
    return f"{top}/{rest[0]}" if top in ("lake_assets", "tests") and len(rest) > 1 else top


def sources(*roots: str) -> dict[str, list[str]]:
    """Return the texts of all files below these folders, by package."""
    by_package: dict[str, list[str]] = defaultdict(list)
    for path in sorted(path for root in roots for path in (PROJECT / root).rglob("*.py")):
        by_package[package(path)].append(path.read_text("utf-8"))
    return by_package


PRODUCT = sources("lake_assets", "stream_app", "spark", "bench")
TESTS = sources("tests")


@cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


def docstrings(source: str) -> list[str]:
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [ast.get_docstring(node) or "" for node in ast.walk(parsed(source)) if isinstance(node, nodes)]


def wrong_docstrings(source: str) -> list[str]:
    """Return the docstrings that start with a word of NOT_FIRST."""
    return [text for text in docstrings(source) if NOT_FIRST.match(text)]


def messages(source: str) -> Iterator[str]:
    """Yield the texts of raised errors and of calls that print, without names in backticks."""
    for node in ast.walk(parsed(source)):
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


def wrong_names(source: str) -> list[str]:
    """Return the functions, classes, parameters and variables whose names have words to avoid."""
    names: list[str] = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.arg):
            names.append(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
    return [name for name in names if name not in PUBLIC_NAMES and avoided(name.replace("_", " "))]


def wrong_prose(source: str) -> list[str]:
    """Return the docstrings and comments with words to avoid."""
    tokens = generate_tokens(StringIO(source).readline)
    comments = [token.string for token in tokens if token.type == COMMENT]
    return [text for text in (*docstrings(source), *comments) if avoided(text)]


def long_test_names(source: str) -> list[str]:
    functions = (node for node in ast.walk(parsed(source)) if isinstance(node, ast.FunctionDef))
    names = (function.name for function in functions if function.name.startswith("test_"))
    return [name for name in names if len(name) > LONGEST_TEST_NAME]


@pytest.mark.parametrize("texts", [*PRODUCT.values(), *TESTS.values()], ids=[*PRODUCT, *TESTS])
def test_docstrings_start_with_a_verb_or_a_noun(texts: list[str]) -> None:
    assert [docstring for text in texts for docstring in wrong_docstrings(text)] == []


@pytest.mark.parametrize("texts", [*PRODUCT.values(), *TESTS.values()], ids=[*PRODUCT, *TESTS])
def test_names_docstrings_and_comments_use_the_words_of_the_glossary(texts: list[str]) -> None:
    assert [wrong for text in texts for wrong in (*wrong_names(text), *wrong_prose(text))] == []


@pytest.mark.parametrize("texts", PRODUCT.values(), ids=PRODUCT)
def test_messages_use_the_words_of_the_glossary(texts: list[str]) -> None:
    assert [message for text in texts for message in wrong_messages(text)] == []


@pytest.mark.parametrize("texts", TESTS.values(), ids=TESTS)
def test_names_of_tests_have_at_most_70_characters(texts: list[str]) -> None:
    assert [name for text in texts for name in long_test_names(text)] == []


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


@pytest.mark.parametrize("source", ["def tell_why(): ...", "told = 1", "def a(is_gone): ...", "class Nobody: ..."])
def test_an_avoided_word_in_a_name_is_found(source: str) -> None:
    assert len(wrong_names(source)) == 1


@pytest.mark.parametrize("source", ["a = 1  # as somebody sees it", 'def a():\n    """Return what it told."""'])
def test_an_avoided_word_in_a_docstring_or_comment_is_found(source: str) -> None:
    assert len(wrong_prose(source)) == 1


@pytest.mark.parametrize(("length", "found"), [(70, 0), (71, 1)])
def test_a_long_name_of_a_test_is_found(length: int, found: int) -> None:
    assert len(long_test_names(f"class A:\n    def {'test_'.ljust(length, 'a')}(self): ...")) == found


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
