"""Where the page is found, and whether it may be there."""

import ipaddress

from nodes.ports import holder_of
from nodes.wire.errors import WireError


def check_address(host: str, port: int) -> None:
    """Raise WireError where the page cannot be shown there, with what to do."""
    if not _is_loopback(host):
        raise WireError(
            f"the page shows people, and everybody who reaches {host}:{port} could see them and work the system: it is "
            f"shown on this machine alone. From another one: ssh -L {port}:127.0.0.1:{port} THIS_MACHINE, then open "
            f"{told_address('127.0.0.1', port)} there"
        )
    if not 0 < port < 65536:
        raise WireError(f"the page cannot have port {port}: 1 to 65535")
    holder = holder_of(f"http://{_bracketed(host)}:{port}")
    if holder is not None:
        raise WireError(
            f"port {port}, at which the page should be, is in use by {holder}. Stop that, or take another port: "
            "--page-port 8081, or `viewer: {port: 8081}` in the configuration; or go without a page: --headless"
        )


def told_address(host: str, port: int) -> str:
    """What to type into a browser."""
    return f"http://{'localhost' if host in ('127.0.0.1', '::1') else _bracketed(host)}:{port}"


def _is_loopback(host: str) -> bool:
    """Whether this machine alone reaches it; a name other than localhost may be anybody's."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
