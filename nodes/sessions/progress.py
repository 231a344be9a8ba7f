"""How far long work is: bars on a terminal, nothing where there is none."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def bars(names: Sequence[str]) -> Iterator[Callable[[str, float], None]]:
    """A bar for each name; called with the name and the share that is done."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as shown:
        tasks = {name: shown.add_task(name, total=1.0) for name in names}
        yield lambda name, done: shown.update(tasks[name], completed=done)
