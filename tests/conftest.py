"""Fixtures that tests of several files use."""

from collections.abc import Iterator

import pytest

from tests.hub import hub

__all__ = ["hub"]


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """Torch on one thread: sums come in one order, so that results are the same bit for bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
