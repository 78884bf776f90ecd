"""A metric over a topic of its own on the session's stack; its processes end with the test."""

import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from lake_assets.settings import Settings
from tests.support.connect_api import remove_connectors
from tests.support.counted_metrics import Counted, make_counted


@pytest.fixture
def counted(stack: Settings, request: pytest.FixtureRequest) -> Generator[Callable[..., Counted]]:
    """Return a function that makes metrics; `counted(name)` is one over a new topic with four partitions."""
    folder = Path(tempfile.mkdtemp(prefix="lake-stream-"))
    made: list[Counted] = []

    def make(name: str, **options: Any) -> Counted:
        made.append(make_counted(stack, folder, name, **options))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.instances.stop_all()
            remove_connectors(stack, one.metric.topic)
            if request.session.testsfailed:
                for log in one.instances.catalog.glob("*.log"):
                    print(log.name, log.read_text("utf-8")[-6000:])
        shutil.rmtree(folder)
