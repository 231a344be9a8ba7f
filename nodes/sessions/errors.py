"""The fault of a session file."""


class SessionError(Exception):
    """A session cannot be read or written; the message names the file, says why and what to type."""
