from lake_assets.waiting import poll_until


def test_polling_ends_with_the_first_value_that_is_done() -> None:
    values = iter(range(10))
    assert poll_until(lambda: next(values), lambda value: value == 3, 60, 0) == 3


def test_polling_returns_the_last_value_when_the_time_is_up() -> None:
    values = iter(range(10))
    assert poll_until(lambda: next(values), lambda value: False, 0, 0) == 0
