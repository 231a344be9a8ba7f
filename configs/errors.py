"""The one exception of the configuration layer."""


class ConfigError(Exception):
    """A configuration cannot be used; the message says file, key, what is allowed and what to type next."""
