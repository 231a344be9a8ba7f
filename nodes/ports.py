"""Whether ports are free and, if not, who has them. Nobody is ever asked to leave."""

import errno
import socket

import psutil


def port_of(address: str) -> int:
    """The port of an address like tcp://127.0.0.1:5555; 0 when it has none from 1 to 65535."""
    digits = address.rpartition(":")[2]
    port = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else 0
    return port if port < 65536 else 0


def holder_of(address: str) -> str | None:
    """Who keeps us from listening on tcp://host:port, a port from 1 to 65535; None when it is free.

    An address that is no address of this machine is left to the hub to refuse.
    """
    host, port = address.partition("://")[2].rpartition(":")[0], port_of(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as libzmq does: a closed run may linger
        try:
            probe.bind(("" if host == "*" else host.strip("[]"), port))
            probe.listen(1)
        except OSError as error:
            return listener_on(port) if error.errno in (errno.EADDRINUSE, errno.EACCES) else None
    return None


def listener_on(port: int) -> str:
    """In words, as far as this user may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                command = " ".join(psutil.Process(connection.pid).cmdline())
                return f"process {connection.pid} ({command[:100]})"
    except psutil.Error:
        pass  # other people's processes are not ours to look at
    return "another process (`ss -ltnp` as root tells which)" if port >= 1024 else "the system (ports below 1024)"
