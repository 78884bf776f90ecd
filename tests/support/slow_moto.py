"""moto's own server, with a pause before each answer: `python -m tests.support.slow_moto SECONDS ...`."""

import sys
import time
from collections.abc import Iterable
from typing import Any

from moto import server


def main(seconds: float, arguments: list[str]) -> None:
    class Slow(server.DomainDispatcherApplication):
        def __call__(self, *given: Any) -> Iterable[Any]:
            time.sleep(seconds)
            return super().__call__(*given)

    server.DomainDispatcherApplication = Slow
    server.main(arguments)


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
