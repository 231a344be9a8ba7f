"""The one exception of the wire layer."""


class WireError(Exception):
    """Bytes or a connection that cannot be trusted; the message says what was received and what was expected."""
