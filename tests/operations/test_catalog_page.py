"""The catalog page as a browser gets it: one file that asks for nothing, in which no text of the lake is markup."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from lake_assets.catalog.json_codec import to_json
from lake_assets.catalog.model import Field, FieldType
from lake_assets.errors import Unavailable
from lake_assets.operations.catalog_page.document import Document
from lake_assets.operations.catalog_page.publish import publish
from lake_assets.operations.catalog_page.render import as_utf8, render
from lake_assets.operations.catalog_page.schema import schema_text
from lake_assets.settings import PROJECT
from tests.support.catalog_documents import document, marts_of, model, orders

HOSTILE = "</code></script><script>alert(1)</script><img src=x onerror=alert(2)>\"' onclick='alert(3)"
CONTROL = "a\x1b[31m\x00\u202eb"
ODD_NAMES = ("größe", "日本", "a.b", "a b", 'quo"te', "quo'te", "{{ 7 * 7 }}", "per%20cent", "#hash")
ADDRESSES = ("src", "href", "action", "data", "poster", "srcset", "xlink:href", "formaction", "ping", "background")


class Page(HTMLParser):
    """Elements, attributes and texts of a page, as a browser's parser has them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inline: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style"):
            self.inline[self._open] = data
        self.texts.append(data)
        self._open = ""

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] or "" for _, attributes in self.elements if attribute in attributes]


def hostile() -> Document:
    """A document in which every text of a contract and of a model is hostile or odd."""
    fields = tuple(
        Field(name, FieldType("string"), description=HOSTILE, enum=(HOSTILE,), pattern=HOSTILE, path=(HOSTILE, CONTROL))
        for name in (HOSTILE, CONTROL, *ODD_NAMES)
    )
    asset = replace(
        orders(), dataset=HOSTILE, description=CONTROL, owners=(HOSTILE,), domain=HOSTILE, topic=HOSTILE, fields=fields,
        key=(HOSTILE,), checks=(replace(orders().checks[0], name=HOSTILE, description=HOSTILE),), roster=HOSTILE,
    )  # fmt: skip
    odd = [
        model(name, f"select 1 as a /* {HOSTILE} */", [], [name, HOSTILE], schema=HOSTILE, description=HOSTILE)
        for name in ODD_NAMES
    ]
    read = {"nodes": [odd[0]["unique_id"]]}
    boards = {
        address: {"name": HOSTILE, "url": address, "description": HOSTILE, "depends_on": read}
        for address in ("javascript:alert(4)", "https://boards.example.com/1?a=b&c=\"'", " data:text/html,x")
    }
    return document([asset, orders()], marts_of(odd, exposures=boards), notes=(HOSTILE,))


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(hostile()))


def test_no_text_of_the_lake_becomes_markup(page: Page) -> None:
    ours = Page(render(document([orders()], marts_of([model("a", "select 1 as a", [], ["a"])]))))
    assert {tag for tag, _ in page.elements} - {tag for tag, _ in ours.elements} <= {"ul", "li", "ol", "details"}
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert page.inline == ours.inline
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert HOSTILE in "".join(page.texts)


def test_control_characters_are_shown_as_escapes(page: Page) -> None:
    text = render(hostile())
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "a\\x1b[31m\\x00\\u202eb" in page.texts


def test_names_of_any_spelling_are_found_and_linked(page: Page) -> None:
    texts = set(page.texts)
    assert {*ODD_NAMES, *(f"{HOSTILE}.{name}" for name in ODD_NAMES)} <= texts
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    links = [address.removeprefix("#") for address in page.values("href") if len(address) > 1 and address[0] == "#"]
    assert set(links) <= set(ids)
    assert all(re.fullmatch(r"[\w.-]+", name, re.ASCII) for name in ids)


def test_page_loads_nothing(page: Page) -> None:
    addresses = {value for attribute in ADDRESSES for value in page.values(attribute)}
    outside = {address for address in addresses if not address.startswith("#") and address != "data:,"}
    assert outside == {"https://boards.example.com/1?a=b&c=\"'"}, "a link to a board, which a person follows"
    [policy] = [a["content"] or "" for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    allowed = {
        f"{kind}-src 'sha256-{base64.b64encode(hashlib.sha256(page.inline[kind].encode()).digest()).decode()}'"
        for kind in ("style", "script")
    }
    assert set(policy.split("; ")) == {
        "default-src 'none'", *allowed, "img-src data:", "base-uri 'none'", "form-action 'none'",
    }  # fmt: skip
    assert "url(" not in page.inline["style"]
    assert "@import" not in page.inline["style"]


@pytest.mark.parametrize("text", ["a\ud800b", "😀", "\u2028"])
def test_any_text_can_be_written(text: str, tmp_path: Path) -> None:
    written = document([replace(orders(), description=text)])
    publish(written, str(tmp_path))
    assert json.loads((tmp_path / "catalog.json").read_bytes())["assets"][0]["description"] == text
    assert (tmp_path / "index.html").read_text("utf-8")


@pytest.mark.parametrize("hidden", [{"classification": "personal"}, {"protection": "tokenise"}])
def test_values_of_confidential_fields_are_not_shown(hidden: dict[str, str]) -> None:
    secret = Field("plan", FieldType("string"), enum=("cancer", "healthy"), nulls=("unknown-patient",), **hidden)
    shown = document([replace(orders(), fields=(*orders().fields, secret))])
    for text in (render(shown), to_json(shown)):
        assert "plan" in text
        assert "2 values that are not shown" in text
        assert not re.search("cancer|healthy|unknown-patient", text)


def test_data_is_as_its_documented_schema() -> None:
    kept = (PROJECT / "docs" / "catalog.schema.json").read_text("utf-8")
    assert kept == schema_text(), (
        "renew it: python -m lake_assets.operations.catalog_page.schema > docs/catalog.schema.json"
    )
    schema = json.loads(kept)
    jsonschema.Draft202012Validator.check_schema(schema)
    data = json.loads(to_json(hostile()))
    jsonschema.validate(data, schema)
    del data["assets"][0]["columns"][0]["rules"]
    with pytest.raises(jsonschema.ValidationError, match="rules"):
        jsonschema.validate(data, schema)


def test_page_of_200_models_has_a_bounded_size() -> None:
    """The bytes that a browser parses before it shows the page: it opened one of this size in half a second."""
    assets = [replace(orders(), dataset=f"orders_{number}") for number in range(50)]
    columns = [f"column_{number}" for number in range(20)]
    sql = "select\n" + ",\n".join(f"  sum(amount) as {column}" for column in columns)
    marts = marts_of(
        [
            model(f"mart_{number}", f"{sql}\nfrom lake.orders_{number % 50}_staging.orders_{number % 50}",
                  [f"source.lake.orders_{number % 50}"], columns)
            for number in range(200)
        ],
        *assets,
    )  # fmt: skip
    assert len(as_utf8(render(document(assets, marts)))) < 4_000_000


def test_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="file"):
        publish(document(), str(tmp_path / "file"))
