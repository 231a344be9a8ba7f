"""Free ports for systems that a benchmark starts."""

import socket


def free_port_pair() -> int:
    """A port that is free on the loopback, and so is the one above it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
