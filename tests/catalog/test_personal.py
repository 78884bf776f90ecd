"""Columns of a sample that `lake new` proposes as personal, and columns that it does not."""

from pathlib import PurePath

import pytest

from lake_assets.catalog.infer import infer
from lake_assets.catalog.parse import parse_contract
from lake_assets.catalog.personal import personal_data
from lake_assets.catalog.sample import read_sample
from tests.catalog.test_infer import column, csv_column, inferred_asset

MAILS = ["anna@example.com", "b.c+d@mail.example.org", "x@y.de"]


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("email", MAILS, "e-mail addresses"),
        ("who", MAILS, "e-mail addresses"),
        ("who", [*MAILS, "none", "anna@example.de"], "e-mail addresses"),
        ("customer_email", [], "e-mail addresses"),
        ("phone", ["+49 (30) 1234-567", "030/1234567", "0301234567"], "phone numbers"),
        ("mobile_number", ["4915112345678"], "phone numbers"),
        ("fax", [], "phone numbers"),
        ("first_name", ["Anna", "Jean-Luc", "Ünal", "李"], "names of persons"),
        ("last_name", ["O'Neil", "van der Berg", "Müller"], "names of persons"),
        ("customer_name", ["Anna Müller", "J. R. Smith", "Maria del Carmen"], "names of persons"),
    ],
)
def test_addresses_numbers_and_names_are_known_by_name_and_values(name: str, values: list[str], expected: str) -> None:
    assert personal_data(name, values) == expected


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("email", ["9f86d081884c7d65", "60303ae22b998861"]),
        ("email_opt_in", ["yes", "no"]),
        ("email_template", ["welcome", "reminder"]),
        ("note", ["ask anna@example.com", "nothing", "write to x@y.de or call"]),
        ("handle", ["@anna", "@bert"]),
        ("phone", ["iPhone 15", "Pixel 9"]),
        ("phone_model", ["0301234567"]),
        ("order_number", ["4915112345678", "4915112345679"]),
        ("amount", ["1234567", "7654321"]),
        ("name", ["Anna", "Bert"]),
        ("product_name", ["Blue Chair", "Round Table"]),
        ("file_name", ["a.txt"]),
        ("first_name", ["user1", "user2"]),
        ("customer_name", ["Acme GmbH", "Example Inc.", "Muster AG"]),
        ("customer_name", ["Siemens", "Bosch"]),
        ("customer_name", []),
        ("contact", ["web", "fair"]),
    ],
)
def test_what_only_resembles_them_is_left_alone(name: str, values: list[str]) -> None:
    assert personal_data(name, values) is None


def test_the_contract_proposes_the_classification_with_its_reason() -> None:
    field, line = csv_column([*MAILS, ""], "email")
    assert field.classification == "personal"
    assert "# personal: they look like e-mail addresses" in line
    field, line = csv_column(["web", "fair", "phone"], "origin")
    assert field.classification is None
    assert "personal" not in line


def test_names_of_persons_are_not_written_down_as_allowed_values() -> None:
    few = ["Anna", "Bert", "Carla"] * 200
    field, line = column(few, "first_name")
    assert field.classification == "personal"
    assert "Anna" not in line
    _, line = column(few, "doll")
    assert "Anna" in line


def test_the_protection_that_the_note_proposes_is_sound() -> None:
    sample = "id,at,email,phone\n" + "\n".join(
        f"{n},2026-01-0{n}T00:00:00Z,a{n}@b.de,030 123456{n}" for n in range(1, 9)
    )
    (note,) = infer(read_sample(sample.encode())).notes
    assert note.startswith("likely personal, so that marts do not have them: email, phone;")
    proposed = "{property: protection, value: {tokenise: [email, phone]}}"
    assert proposed in note
    _, text = inferred_asset(sample)
    changed = text.replace("customProperties:\n", f"customProperties:\n  - {proposed}\n")
    asset = parse_contract(changed, PurePath("orders.yaml"))
    assert {field.name: field.protection for field in asset.fields if field.protection} == {
        "email": "tokenise", "phone": "tokenise",
    }  # fmt: skip
