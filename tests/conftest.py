"""Fixtures that tests of several files use."""

from tests.hub import hub

__all__ = ["hub"]
