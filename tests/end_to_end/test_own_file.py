"""A CSV of a user's own: each row of it is in staging or in quarantine with a reason."""

import pytest

from tests.end_to_end.conftest import Lake

CSV = (
    (
        "Delivery No;Delivered on;Weight kg;Town;Note\n"
        "D-001;05.02.2026 08:30;12.5;Köln;\n"
        "D-002;05.02.2026 09:10;7.25;Bonn;fragile\n"
        "D-002;05.02.2026 09:10;7.25;Bonn;fragile\n"
        "D-003;05.02.2026 17:45;heavy;Essen;\n"
        "D-004;06.02.2026 11:00;;Bonn;\n"
        "D-005;06.02.2026 12:00;3.5;M\xfcnster;broken byte\n"
        "D-006;13.02.2026 10:20;8.0;Aachen;late, but with a comma\n"
    )
    .encode("latin-1")
    .replace(b"K\xf6ln", "Köln".encode())
)


@pytest.fixture(scope="module")
def delivered(lake: Lake) -> Lake:
    """The lake after the CSV went from a contract of its own to staging, by commands that are truly started."""
    lake = lake.cold
    # A longer file of the same shape, so that types and dates are decided by evidence.
    sample = CSV + b"".join(f"D-1{n:02d};{n % 28 + 1:02d}.03.2026 10:00;{n}.5;Bonn;\n".encode() for n in range(1, 60))
    (lake.folder / "deliveries.csv").write_bytes(sample)
    lake.ok("new", "deliveries", "--from", str(lake.folder / "deliveries.csv"), "--domain", "shop")
    lake.ok("apply")
    lake.ok("produce", "deliveries", str(lake.folder / "deliveries.csv"))
    lake.ok("run")
    return lake


def test_the_contract_has_one_line_a_field_and_at_most_20_besides(delivered: Lake) -> None:
    lines = delivered.contract("deliveries").read_text("utf-8").splitlines()
    fields = [line for line in lines if "logicalType" in line]
    assert len(fields) == 5
    assert len(lines) - len(fields) <= 20


def test_every_row_is_good_quarantined_or_a_duplicate(delivered: Lake) -> None:
    audit = delivered.audit("deliveries")
    rows = {name: sum(w[name] for w in audit["windows"]) for name in ("raw", "good", "quarantined", "duplicates")}
    assert rows == {"raw": 66, "good": 63, "quarantined": 2, "duplicates": 1}
    assert audit["in_balance"]


def test_dates_in_the_files_own_format_are_read(delivered: Lake) -> None:
    rows = delivered.staging(
        "select delivery_no, delivered_on::varchar as at from deliveries_staging.deliveries where delivery_no = 'D-006'"
    )
    assert rows == [{"delivery_no": "D-006", "at": "2026-02-13 10:20:00+00"}]


def test_an_empty_cell_is_null(delivered: Lake) -> None:
    query = "select count(*) as n from deliveries_staging.deliveries where weight_kg is null"
    assert delivered.staging(query) == [{"n": 1}]


def test_the_bad_number_and_the_broken_byte_have_reasons(delivered: Lake) -> None:
    reasons = delivered.ok("quarantine", "deliveries", "--json").json
    assert {(r["code"], r["field"], r["rows"]) for r in reasons} == {
        ("type", "weight_kg", 1),
        ("invalid_utf8", None, 1),
    }


def test_why_explains_a_window_in_words(delivered: Lake) -> None:
    answer = delivered.ok("why", "deliveries", "2026-02-05").out
    assert "4 raw = 2 good + 1 quarantined + 1 duplicates" in answer
    assert "with 1 of 4 rows in quarantine" in answer


def test_a_typo_in_the_contract_names_the_word_and_makes_nothing(delivered: Lake) -> None:
    path = delivered.contract("deliveries")
    good = path.read_text("utf-8")
    path.write_text(good.replace("logicalType: string", "logicalTyp: string", 1), "utf-8")
    try:
        answer = delivered("apply")
    finally:
        path.write_text(good, "utf-8")
    assert answer.code == 2
    assert "logicalTyp" in answer.err
    assert "deliveries.yaml" in answer.err
    assert delivered.changes() == []
