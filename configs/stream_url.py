"""The address of a network camera: whether FFmpeg will take it as it is meant, and how to show it without its secrets.

By hand, not by urllib: passwords hold `/ # ? [`, which make it see another host, or fail with a message of its own.
"""

import re

URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)
HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\[\]:@\s]+)(:(?P<port>\d{1,5}))?")
ENCODE = "in user and password write %2F for /, %23 for #, %3F for ?, %5B for [ and %40 for @"


def checked_url(url: str) -> str:
    """The address as it is. Raises ValueError, which shows nothing of it, since any part may be the password."""
    parts = URL.fullmatch(url)
    if parts is None:
        raise ValueError("an address begins with scheme and host, such as rtsp://10.0.0.7/stream")
    user, _, host_port = parts["authority"].rpartition("@")
    if set(user) & set("[]"):
        raise ValueError(f"the user or password holds a raw [ or ]: {ENCODE}")
    if HOST_PORT.fullmatch(host_port):
        return url
    if "@" in parts["rest"]:  # user:pa/ss@host, where the host would be "user" and the port "pa"
        raise ValueError(f"the user or password holds a raw /, # or ?: {ENCODE}")
    raise ValueError("no host, or a port that is no number, behind ://; an example: rtsp://10.0.0.7:554/stream")


def without_password(url: str) -> str:
    """The address, fit to be shown: user, password and query left out, whatever they hold.

    Where an @ comes behind a ? or #, either may be in the password or the @ in a secret query: then the scheme alone.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "", url
    before, _, shown = rest.rpartition("@")
    if "?" in before or "#" in before:
        return f"{scheme}{separator}…"
    shown, question_mark, _ = shown.partition("#")[0].partition("?")
    return f"{scheme}{separator}{shown}{'?…' if question_mark else ''}"
