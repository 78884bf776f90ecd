"""TLS before a Postgres that has none: the embedded one is built without it.

Clients see a server with `ssl = on` that requires it: the proxy answers the request for TLS as a server
does, shows its certificate and hands on what it then reads.
"""

import select
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

# From the protocol of Postgres: a length of eight, and a number in the place of a version.
WANTS_TLS = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


@contextmanager
def tls_door(port: int, inside: int, keystore: Path) -> Generator[None]:
    """`keystore` has key and certificate; ended with the block."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keystore)
    with socket.create_server(("127.0.0.1", port)) as door:
        threading.Thread(target=_let_in, args=(door, inside, context), daemon=True).start()
        try:
            yield
        finally:
            door.shutdown(socket.SHUT_RDWR)


def _let_in(door: socket.socket, inside: int, context: ssl.SSLContext) -> None:
    with suppress(OSError):  # the door is closed
        while True:
            client, _ = door.accept()
            threading.Thread(target=_serve, args=(client, inside, context), daemon=True).start()


def _serve(client: socket.socket, inside: int, context: ssl.SSLContext) -> None:
    """Serve until one side closes; a client that does not trust the certificate does so at once."""
    with client, suppress(OSError):
        if client.recv(len(WANTS_TLS), socket.MSG_WAITALL) != WANTS_TLS:
            return
        client.sendall(b"S")
        with (
            context.wrap_socket(client, server_side=True) as safe,
            socket.create_connection(("127.0.0.1", inside)) as server,
        ):
            while True:
                ready = [safe] if safe.pending() else select.select([safe, server], [], [])[0]
                for source in ready:
                    data = source.recv(65_536)
                    if not data:
                        return
                    (server if source is safe else safe).sendall(data)
