"""Ways to tell that a part answers."""

import random
import re
import socket
import ssl
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path


def free_port() -> int:
    """
    Return a port of 127.0.0.1 that nobody listens on.

    It lies below the range from which the kernel takes ports for outgoing connections, so that it is
    still free when the part gets round to listening.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def redis_answers(port: int) -> Callable[[Path], bool]:
    """Ready when a PING is answered."""

    def ready(_log: Path) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(5) == b"+PONG"
        except OSError:
            return False

    return ready


def tls_answers(port: int, ca_file: Path) -> Callable[[Path], bool]:
    """Ready when whoever listens shows a certificate for ``localhost`` by this authority."""

    def ready(_log: Path) -> bool:
        context = ssl.create_default_context(cafile=ca_file)
        try:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=1) as connection,
                context.wrap_socket(connection, server_hostname="localhost") as secured,
            ):
                # Who leaves without a word stands in the part's log with an error.
                secured.unwrap()
                return True
        except OSError:
            return False

    return ready


def http_answers(port: int, path: str) -> Callable[[Path], bool]:
    """Ready when a GET is answered by 200."""

    def ready(_log: Path) -> bool:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    return ready


def log_says(pattern: str) -> Callable[[Path], bool]:
    """Ready when the part has written a matching line."""

    def ready(log: Path) -> bool:
        return log.exists() and re.search(pattern, log.read_text(errors="replace")) is not None

    return ready
