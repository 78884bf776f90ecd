"""Loaded by each Python process that finds this folder on its path: its sockets reach this machine only."""

import os
import socket
import sys
from pathlib import Path
from typing import Any


def _is_outside(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else str(host or "localhost")
    return not (text.startswith("127.") or text in ("localhost", "::1", "0.0.0.0", "::", socket.gethostname()))


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    match event, arguments:
        case "socket.connect" | "socket.sendto", (socket.socket(family=socket.AF_INET | socket.AF_INET6), (host, *_)):
            pass
        case "socket.getaddrinfo", (host, *_):
            pass
        case "socket.gethostbyname", (host,):
            pass
        case _:
            return
    if _is_outside(host):
        with Path(os.environ["LAKE_TEST_ATTEMPTS"]).open("a", encoding="utf-8") as attempts:
            attempts.write(f"{event} {host!r} by {sys.argv}\n")
        raise OSError(f"{event}: {host!r} is not this machine")


sys.addaudithook(_refuse)
