"""The one exception of the data sets."""


class DatasetError(Exception):
    """Data cannot be used; the message says which file, what was found, and what was expected."""
