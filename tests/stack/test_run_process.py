"""Runs use definitions that were loaded ahead of them, unless the lake has changed since."""

from lake_assets.errors import Unavailable
from lake_assets.stack.loaded_definitions import LoadedDefinitions, State

OLD: State = ("old", 1.0, 1.0)
NEW: State = ("new", 1.0, 1.0)


class Lake:
    """The state of a lake, and how often its definitions were loaded."""

    def __init__(self, *states: State | None) -> None:
        self.states = list(states)
        self.loads = 0
        self.error: Exception | None = None
        self.is_down = False
        self.definitions = LoadedDefinitions(self.read_state, self.load)

    def read_state(self) -> State | None:
        if self.is_down:
            raise Unavailable("Postgres does not answer")
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def load(self) -> None:
        self.loads += 1
        if self.error is not None:
            raise self.error


def test_run_loads_nothing_while_the_lake_is_unchanged() -> None:
    lake = Lake(OLD)
    lake.definitions.load()
    for _ in range(3):
        lake.definitions.refresh()
    assert lake.loads == 1


def test_run_loads_definitions_again_after_an_apply() -> None:
    lake = Lake(OLD)
    lake.definitions.load()
    lake.states[:] = [NEW]
    lake.definitions.refresh()
    assert lake.loads == 2


def test_change_while_definitions_are_loaded_loads_them_again() -> None:
    lake = Lake(OLD, NEW)
    lake.definitions.load()
    assert lake.loads == 2
    lake.definitions.refresh()
    assert lake.loads == 2


def test_failed_load_ahead_is_left_to_the_run() -> None:
    lake = Lake(OLD)
    lake.error = RuntimeError("no database")
    lake.definitions.load()
    lake.error = None
    lake.definitions.refresh()
    lake.definitions.refresh()
    assert lake.loads == 2


def test_lake_that_does_not_answer_is_left_to_the_run() -> None:
    lake = Lake(OLD)
    lake.definitions.load()
    lake.is_down = True
    lake.definitions.refresh()
    lake.is_down = False
    lake.definitions.refresh()
    assert lake.loads == 1
