"""Failures of dbt's models as sentences: they name model, column, owner and next step."""

from pathlib import Path
from typing import Any

import pytest

from lake_assets.dbt.mart_failures import failed_columns, failure_sentences

PROJECT, WORK = Path("/project"), Path("/work")
BINDER = """
  Binder Error: Referenced column "quantityt" not found in FROM clause!
  Candidate bindings: "quantity"
"""


def node(name: str, owners: list[str]) -> dict[str, Any]:
    return {
        "resource_type": "model",
        "name": name,
        "alias": name,
        "schema": f"{name}_data_mart",
        "package_name": "lake",
        "original_file_path": f"models/marts/{name}_data_mart/{name}.sql",
        "config": {"meta": {"owners": owners} if owners else {}},
    }


MANIFEST = {
    "nodes": {
        "model.lake.sales": node("sales", ["team:sales"]),
        "model.lake.funnel": node("funnel", []),
        "test.lake.grain": {"resource_type": "test", "name": "grain"},
    }
}


def test_failure_names_model_column_owner_and_next_step() -> None:
    output = f"Runtime Error in model sales (models/marts/sales_data_mart/sales.sql){BINDER}"
    [text] = failure_sentences(output, MANIFEST, PROJECT, WORK)
    first, *_ = text.splitlines()
    assert first.startswith(
        "The model sales_data_mart.sales was not built: Runtime Error: Binder Error: Referenced column"
    )
    assert "Column: quantityt.\n" in text
    assert "Owner: team:sales.\n" in text
    assert "Next step: correct /project/models/marts/sales_data_mart/sales.sql" in text
    assert "`lake-dbt build --select sales`" in text


def test_each_model_that_failed_has_its_own_cause() -> None:
    output = (
        f"Runtime Error in model sales (models/marts/sales_data_mart/sales.sql){BINDER}\n"
        "Failure in test grain (models/marts/sales_data_mart/sales.yml)\n  Got 3 results\n"
        "Compilation Error in model funnel (models/marts/funnel_data_mart/funnel.sql)\n  'no_such' is undefined"
    )
    sales, funnel = failure_sentences(output, MANIFEST, PROJECT, WORK)
    assert "Got 3 results" not in sales
    assert "'no_such' is undefined" not in sales
    assert "was not built: Compilation Error: 'no_such' is undefined" in funnel
    assert "Column:" not in funnel
    assert "Owner: unknown: add `owners` to its YAML." in funnel


def test_compiled_sql_is_named_if_it_was_kept(tmp_path: Path) -> None:
    output = f"Runtime Error in model sales (models/marts/sales_data_mart/sales.sql){BINDER}"
    compiled = tmp_path / "compiled" / "lake" / "models" / "marts" / "sales_data_mart" / "sales.sql"
    assert "The SQL that ran" not in failure_sentences(output, MANIFEST, PROJECT, tmp_path)[0]
    compiled.parent.mkdir(parents=True)
    compiled.touch()
    assert f"The SQL that ran: {compiled}" in failure_sentences(output, MANIFEST, PROJECT, tmp_path)[0]


def test_macros_between_model_and_error_are_left_out() -> None:
    output = (
        "Compilation Error in model sales (models/marts/sales_data_mart/sales.sql)\n  It is wrong.\n  \n"
        "  > in macro statement (macros/etc/statement.sql)\n"
        "  > called by model sales (models/marts/sales_data_mart/sales.sql)"
    )
    [text] = failure_sentences(output, MANIFEST, PROJECT, WORK)
    assert text.startswith("The model sales_data_mart.sales was not built: Compilation Error: It is wrong.\nOwner:")


def test_row_that_postgres_refuses_is_not_shown() -> None:
    output = (
        "Runtime Error in model sales (models/marts/sales_data_mart/sales.sql)\n"
        '  ERROR:  null value in column "region" of relation "sales" violates not-null constraint\n'
        "  DETAIL:  Failing row contains (null, ada@example.com, two\nlines)."
    )
    [text] = failure_sentences(output, MANIFEST, PROJECT, WORK)
    assert "violates not-null constraint\nColumn: region.\n" in text
    assert "ada@example.com" not in text
    assert "lines)" not in text


def test_output_without_a_model_has_no_sentence() -> None:
    assert failure_sentences("Could not connect to the database.", MANIFEST, PROJECT, WORK) == []


@pytest.mark.parametrize(
    ("cause", "columns"),
    [
        ('Binder Error: Referenced column "amountt" not found in FROM clause!', ["amountt"]),
        ('Binder Error: Values list "closings" does not have a column named "closed_att"', ["closed_att"]),
        ("Constraint Error: NOT NULL constraint failed: sales__dbt_tmp.region", ["region"]),
        ('ERROR: null value in column "region" of relation "sales" violates not-null constraint', ["region"]),
        ("Unrecognized name: amountt; Did you mean amount? at [3:4]", ["amountt"]),
        ("Name amountt not found inside sales at [3:10]", ["amountt"]),
        ("COLUMN_NOT_FOUND: line 3:10: Column 'amountt' cannot be resolved", ["amountt"]),
        (
            "This model has an enforced contract that failed.\n"
            "  | column_name | definition_type | contract_type | mismatch_reason    |\n"
            "  | ----------- | --------------- | ------------- | ------------------ |\n"
            "  | orders      | VARCHAR         | BIGINT        | data type mismatch |\n"
            "  | seen        |                 | DATE          | missing in definition |",
            ["orders", "seen"],
        ),
        ('Parser Error: syntax error at or near "form"', []),
    ],
)
def test_column_is_that_of_the_error_of_each_engine(cause: str, columns: list[str]) -> None:
    assert failed_columns(cause) == columns
