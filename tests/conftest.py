"""Fixtures that tests of several files use, and which tests are run by themselves."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import hub

__all__ = ["hub"]

LIVE_SYSTEM = "tests.live_system"
LIVE = "live: against the clock, needs the machine to itself; set for all tests of files that name tests.live_system"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--live", choices=("also", "only", "never"), default="also", help="tests that need the machine to themselves"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", LIVE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files without live tests are not even imported where only those are wanted; that alone takes 15 s."""
    if config.getoption("live") != "only" or collection_path.suffix != ".py":
        return None
    return None if _names(collection_path, LIVE_SYSTEM) or _names(collection_path, "mark.live") else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of a live system, and leave out what `--live` does not want."""
    for item in items:
        if _names(item.path, LIVE_SYSTEM):
            item.add_marker("live")
    chosen = config.getoption("live")
    if chosen != "also":
        wanted = [item for item in items if (item.get_closest_marker("live") is not None) == (chosen == "only")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
        items[:] = wanted


@functools.cache
def _names(path: Path, words: str) -> bool:
    """Whether a file of tests has these words in it."""
    return words in path.read_text()


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """Torch on one thread: sums come in one order, so that results are the same bit for bit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
