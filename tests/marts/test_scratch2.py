import pytest
from lake_assets.orchestration.marts import mart_definitions
from tests.marts.test_mart_assets import build, sales_sql

CASES = {
    "col": ("sum(quantity)", "sum(quantityt)"),
    "contract": ("count(*)", "cast(count(*) as varchar)"),
    "null": ("coalesce(region, 'unknown')", "nullif('', '')"),
    "macro": ("{{ day_of(", "{{ no_such("),
}


@pytest.mark.parametrize("case", CASES)
def test_x(case, built, catalog, sales_sql):
    text = sales_sql.read_text()
    print(text)
    old, new = CASES[case]
    sales_sql.write_text(text.replace(old, new))
    result = build(mart_definitions(built, catalog))
    for f in result.get_step_failure_events():
        print("FAILURE", case, str(f.step_failure_data.error))
    for e in result.get_asset_materialization_events():
        print("MAT", e.asset_key, e.step_materialization_data.materialization.metadata)
    for e in result.get_asset_check_evaluations():
        if not e.passed:
            print("CHK", e)
